import { SjsError } from '../../index.js';
import { formatLockChanges } from '../plan-view.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';
import { ALL_OPTION, forAllSandboxes } from '../each-sandbox.js';
import { LOCK_OPTIONS, readLockOptions } from './build.js';

const CHECK = {
  check: {
    describe:
      'only see whether it answers sandbox.yaml and package-lock.json; asks neither engine nor registry',
  },
};

/** `sjs lock`: resolves and verifies the base and writes sandbox.lock. */
export const lockVerb: Verb = {
  examples: [
    ['sjs lock', 'write sandbox.lock, or leave it when it fits'],
    ['sjs lock my-job --update', 'choose the newest base that the file allows'],
    ['sjs lock --frozen', 'only check that it fits, and verify what it says'],
    [
      'sjs lock --all --check',
      'before a commit: every lock is there, of the base and with the packages that are asked for',
    ],
    ['sjs lock --all --update base', 'the newest base for every sandbox below this folder'],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: { ...ALL_OPTION, ...LOCK_OPTIONS, ...CHECK },
  async run(input, context) {
    const { sjs, output, tapSignals } = context;
    const [path = '.'] = input.positionals;
    const options = { ...readLockOptions(input), signal: tapSignals().signals.abort };
    if (input.has('check')) {
      if (options.frozen || options.update !== false) {
        throw new SjsError('USAGE', '--check asks nobody, --frozen and --update do', {
          next: 'give one of them',
        });
      }
      if (input.has('all')) {
        const check = async (file: string) => (await sjs.checkLock(file), { fits: true });
        return forAllSandboxes('lock', path, context, check, () => Promise.resolve({ what: 'fits' }));
      }
      await sjs.checkLock(path);
      if (output.json) await output.printJson({ fits: true });
      return 0;
    }
    if (input.has('all')) {
      const batch = sjs.createBatch();
      const write = async (file: string) => {
        const { lock, lockChanges, base } = await sjs.lock(file, { ...options, batch });
        return { lock, changes: lockChanges, base };
      };
      return forAllSandboxes('lock', path, context, write, async ({ changes, base }, name) => {
        await output.print(`${base.image}@${base.digest}`);
        for (const line of formatLockChanges(changes, output.err)) output.note(`${cleanLine(name)}: ${line}`);
        return { what: changes.length === 0 ? 'fits' : 'sandbox.lock written' };
      });
    }
    const { lock, lockChanges, base } = await sjs.lock(path, options);
    if (output.json) await output.printJson({ lock, changes: lockChanges, base });
    await output.print(`${base.image}@${base.digest}`);
    if (lockChanges.length === 0) output.note('sandbox.lock fits; nothing was written');
    else for (const line of formatLockChanges(lockChanges, output.err)) output.note(line);
    return 0;
  },
};
