import { errorDocument, formatError, toSjsError } from '../error-report.js';
import { exitCodeOf } from '../exit-codes.js';
import type { Verb } from '../verb.js';

/** `sjs validate`: every file is checked, and all that is wrong is said at once. */
export const validateVerb: Verb = {
  examples: [
    ['sjs validate', 'the sandbox.yaml of this folder'],
    ['sjs validate jobs/a jobs/b/sandbox.yaml', 'several, as folders or files'],
  ],
  usage: '[path…]',
  positionals: [0, Infinity],
  async run(input, { sjs, output }) {
    const paths = input.positionals.length === 0 ? ['.'] : input.positionals;
    const files: Readonly<Record<string, unknown>>[] = [];
    let status = 0;
    for (const path of paths) {
      try {
        const { file, sandbox } = await sjs.validate(path);
        files.push({ file, valid: true, name: sandbox.name, version: sandbox.version });
        await output.print(`${path}: valid`);
      } catch (thrown) {
        const error = toSjsError(thrown);
        if (paths.length === 1) throw error;
        files.push({ file: path, valid: false, ...errorDocument(error) });
        output.say(
          formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }),
        );
        status ||= exitCodeOf(error, 'validate');
      }
    }
    if (output.json) await output.printJson({ valid: status === 0, files });
    return status;
  },
};
