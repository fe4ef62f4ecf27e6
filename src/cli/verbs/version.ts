import type { Verb } from '../verb.js';

/** `sjs version`. Without options `main.ts` answers before this is loaded. */
export const versionVerb: Verb = {
  examples: [
    ['sjs version', 'the version of sjs'],
    ['sjs version --json', 'with the versions of Node and of this platform'],
  ],
  usage: '',
  positionals: [0, 0],
  async run(_input, { sjs, output }) {
    if (output.json) {
      const { platform, arch, versions } = process;
      await output.printJson({ version: sjs.version, node: versions.node, platform: `${platform}/${arch}` });
    }
    await output.print(`sjs ${sjs.version}`);
    return 0;
  },
};
