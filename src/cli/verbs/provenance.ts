import type { Verb } from '../verb.js';

/** `sjs provenance`: JSON always. */
export const provenanceVerb: Verb = {
  examples: [
    ['sjs provenance my-job', 'how it was built: SLSA provenance v1, the predicate alone'],
    [
      'sjs provenance my-job | jq \'.buildDefinition.resolvedDependencies[] | select(.name == "git")\'',
      'the commit that the folder was at',
    ],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  notes: 'Of seals that were made here: what was built elsewhere has its provenance from there.',
  async run(input, { sjs, output, tapSignals }) {
    const { abort } = tapSignals().signals;
    await output.printJson(await sjs.describeProvenance(input.positionals[0] ?? '', { signal: abort }));
    return 0;
  },
};
