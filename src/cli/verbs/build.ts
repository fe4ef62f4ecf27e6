import { cleanLine } from '../terminal.js';
import { SjsError } from '../../index.js';
import { errorDocument, formatError, toSjsError } from '../error-report.js';
import { exitCodeOf } from '../exit-codes.js';
import { PUBLISH_OPTIONS, readPublishing } from '../publish.js';
import { notePublished } from './push.js';
import type { CliContext, OptionSpec, Verb, VerbInput } from '../verb.js';

/** How build, lock and plan treat sandbox.lock. */
export const LOCK_OPTIONS = {
  frozen: { describe: 'refuse when sandbox.lock would change: for CI' },
  update: { describe: 'choose the base anew instead of the one in sandbox.lock' },
} as const satisfies Record<string, OptionSpec>;

/** What was asked for about the lock. Throws `USAGE` when it contradicts itself. */
export function readLockOptions(input: VerbInput): { readonly frozen: boolean; readonly update: boolean } {
  const [frozen, update] = [input.has('frozen'), input.has('update')];
  if (frozen && update) {
    throw new SjsError('USAGE', '--frozen keeps the lock and --update changes it', {
      next: 'give one of them',
    });
  }
  return { frozen, update };
}

/** `sjs build`: prints the tag alone on stdout. */
export const buildVerb: Verb = {
  examples: [
    ['sjs build', 'the sandbox.yaml of this folder'],
    ['sjs run "$(sjs build my-job)"', 'build and run: the tag is all that build prints on stdout'],
    ['sjs build --push --sign --key cosign.key', 'and into the registry of the policy, signed'],
    ['sjs build --all --frozen', 'every sandbox.yaml below this folder, exactly as locked'],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: {
    all: { describe: 'every sandbox.yaml below the path' },
    ...LOCK_OPTIONS,
    ...PUBLISH_OPTIONS,
  },
  async run(input, context) {
    const [path = '.'] = input.positionals;
    const options = {
      ...readLockOptions(input),
      ...readPublishing(input),
      signal: context.tapSignals().signals.abort,
    };
    if (input.has('all')) return buildAll(path, options, context);
    const result = await context.sjs.build(path, options);
    if (context.output.json) await context.output.printJson(result);
    await context.output.print(result.tag);
    notePublished(result, context.output);
    return 0;
  },
};

/** Builds one after the other; one that fails does not keep the others from being built. */
async function buildAll(
  directory: string,
  options: Parameters<CliContext['sjs']['build']>[1] & { readonly signal: AbortSignal },
  { sjs, output }: CliContext,
): Promise<number> {
  const files = await sjs.findSandboxes(directory);
  if (files.length === 0) {
    throw new SjsError('FILE_NOT_FOUND', `there is no sandbox.yaml below ${directory}`, {
      next: 'sjs init writes one',
    });
  }
  let status = 0;
  for (const file of files) {
    try {
      const result = await sjs.build(file, options);
      if (output.json) await output.printJsonLine({ file, ...result });
      await output.print(result.tag);
      notePublished(result, output);
    } catch (thrown) {
      if (options.signal.aborted) throw thrown;
      const error = toSjsError(thrown);
      if (output.json) await output.printJsonLine({ file, ...errorDocument(error) });
      output.say(`${cleanLine(file)}:`);
      output.say(
        formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }),
      );
      status ||= exitCodeOf(error, 'build');
    }
  }
  return status;
}
