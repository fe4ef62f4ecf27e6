import { join } from 'node:path';
import { makeFolder } from './world.js';

/** The environment in which a Node takes the time to be another: as with a wrong clock of the machine, for it alone. */
export async function shiftedClock(byMs: number): Promise<Record<string, string>> {
  const code = `const Right = Date;
globalThis.Date = class Date extends Right {
  constructor(...given) { super(...(given.length === 0 ? [Right.now() + ${byMs}] : given)); }
  static now() { return Right.now() + ${byMs}; }
};`;
  return { NODE_OPTIONS: `--require=${join(await makeFolder({ 'clock.cjs': code }), 'clock.cjs')}` };
}
