import type { Sjs } from '../../index.js';
import { errorDocument, formatError, toSjsError } from '../error-report.js';
import { exitCodeOf } from '../exit-codes.js';
import { ALL_OPTION, doAll, nameOf, type Task } from '../each-sandbox.js';
import type { CliContext, Verb } from '../verb.js';

/** `sjs validate`: every file is checked, and all that is wrong is said at once. */
export const validateVerb: Verb = {
  examples: [
    ['sjs validate', 'the sandbox.yaml of this folder'],
    ['sjs validate jobs/a jobs/b/sandbox.yaml', 'several, as folders or files'],
    ['sjs validate --all', 'every sandbox below this folder'],
  ],
  usage: '[path…]',
  positionals: [0, Infinity],
  options: ALL_OPTION,
  async run(input, context) {
    const { sjs, output } = context;
    const paths = input.positionals.length === 0 ? ['.'] : input.positionals;
    if (input.has('all')) return validateAll(paths, context);
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

/** One document, as of several paths. */
async function validateAll(directories: readonly string[], context: CliContext): Promise<number> {
  const { sjs, output } = context;
  const found = await Promise.all(directories.map((directory) => sjs.findSandboxes(directory)));
  const files: Readonly<Record<string, unknown>>[] = [];
  const tasks = [...new Set(found.flat())].map((path): Task<Awaited<ReturnType<Sjs['validate']>>> => ({
    name: nameOf(path),
    act: () => sjs.validate(path),
    tell: async ({ file, sandbox }) => {
      files.push({ file, valid: true, name: sandbox.name, version: sandbox.version });
      await output.print(`${nameOf(path)}: valid`);
      return { what: 'valid' };
    },
    tellError: (document) => Promise.resolve(void files.push({ file: path, valid: false, ...document })),
  }));
  const status = await doAll('validate', tasks, context);
  if (output.json) await output.printJson({ valid: status === 0, files });
  return status;
}
