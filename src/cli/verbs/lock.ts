import { formatLockChanges } from '../plan-view.js';
import type { Verb } from '../verb.js';
import { LOCK_OPTIONS, readLockOptions } from './build.js';

/** `sjs lock`: resolves and verifies the base and writes sandbox.lock. */
export const lockVerb: Verb = {
  examples: [
    ['sjs lock', 'write sandbox.lock, or leave it when it fits'],
    ['sjs lock my-job --update', 'choose the newest base that the file allows'],
    ['sjs lock --frozen', 'only check that it fits'],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: LOCK_OPTIONS,
  async run(input, { sjs, output, tapSignals }) {
    const [path = '.'] = input.positionals;
    const options = { ...readLockOptions(input), signal: tapSignals().signals.abort };
    const { lock, lockChanges, base } = await sjs.lock(path, options);
    if (output.json) await output.printJson({ lock, changes: lockChanges });
    await output.print(`${base.image}@${base.digest}`);
    if (lockChanges.length === 0) output.note('sandbox.lock fits; nothing was written');
    else for (const line of formatLockChanges(lockChanges)) output.note(line);
    return 0;
  },
};
