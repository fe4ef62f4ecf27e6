import { SjsError, type LockUpdate, type Sjs } from '../../index.js';
import { ALL_OPTION, forAllSandboxes } from '../each-sandbox.js';
import { PUBLISH_OPTIONS, readPublishing } from '../publish.js';
import { notePublished } from './push.js';
import type { OptionSpec, Verb, VerbInput } from '../verb.js';

type BuildResult = Awaited<ReturnType<Sjs['build']>>;

/** How build, lock and plan treat sandbox.lock. */
export const LOCK_OPTIONS = {
  frozen: { describe: 'refuse when sandbox.lock would change: for CI' },
  update: {
    value: '[base|dependencies]',
    words: ['base', 'dependencies'],
    describe:
      'choose the base anew instead of the one in sandbox.lock; dependencies: keep the base, and take what package-lock.json has now, as without --update',
  },
} as const satisfies Record<string, OptionSpec>;

/** What was asked for about the lock. Throws `USAGE` when it contradicts itself. */
export function readLockOptions(input: VerbInput): {
  readonly frozen: boolean;
  readonly update: LockUpdate | false;
} {
  const frozen = input.has('frozen');
  const update = readUpdate(input.value('update'));
  if (frozen && update !== false) {
    throw new SjsError('USAGE', '--frozen keeps the lock and --update changes it', {
      next: 'give one of them',
    });
  }
  return { frozen, update };
}

function readUpdate(value: string | undefined): LockUpdate | false {
  if (value === undefined) return false;
  if (value === 'all' || value === 'base' || value === 'dependencies') return value;
  throw new SjsError('USAGE', `--update takes base or dependencies, not ${JSON.stringify(value)}`, {
    next: 'leave the word out to update both',
  });
}

/** `sjs build`: prints the tag alone on stdout. */
export const buildVerb: Verb = {
  examples: [
    ['sjs build', 'the sandbox.yaml of this folder'],
    ['sjs run "$(sjs build my-job)"', 'build and run: the tag is all that build prints on stdout'],
    ['sjs build --push --sign --key cosign.key', 'and into the registry of the policy, signed'],
    ['sjs build --all --frozen', 'every sandbox below this folder, exactly as locked'],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: { ...ALL_OPTION, ...LOCK_OPTIONS, ...PUBLISH_OPTIONS },
  async run(input, context) {
    const [path = '.'] = input.positionals;
    const options = {
      ...readLockOptions(input),
      ...readPublishing(input),
      signal: context.tapSignals().signals.abort,
    };
    if (input.has('all')) {
      const batch = context.sjs.createBatch();
      const build = (file: string): Promise<BuildResult> => context.sjs.build(file, { ...options, batch });
      return forAllSandboxes('build', path, context, build, async (result) => {
        const { tag, cached, lockChanged } = result;
        await context.output.print(tag);
        notePublished(result, context.output);
        const what = cached ? 'unchanged' : 'built';
        return { what: lockChanged ? `${what}, new sandbox.lock` : what, tag };
      });
    }
    const result = await context.sjs.build(path, options);
    if (context.output.json) await context.output.printJson(result);
    await context.output.print(result.tag);
    notePublished(result, context.output);
    return 0;
  },
};
