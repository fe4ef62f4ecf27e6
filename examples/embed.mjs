// @ts-check
/**
 * An application that calls a customer's function: a pool of 5 containers, 100 calls, each in a container of its own, and
 * one of them replayed. Run it with: node examples/embed.mjs
 */
import { createPool, replay, SjsError } from 'sjs';

/** @typedef {{ lines: { sku: string, qty: number, cents: number }[], totalCents: number }} Quote */

const CALLS = 100;
const SIZE = 5;

try {
  // Sealed first, when it is not yet; the rules are the operator's.
  const pool = await createPool({ target: new URL('pricing/', import.meta.url).pathname, size: SIZE });
  try {
    await pool.ready();
    /** @type {number[]} */
    const times = [];
    /** @type {string[]} */
    const runs = [];
    let totalCents = 0;
    const begin = performance.now();
    /** One caller of as many as there are containers. @param {number} first */
    const caller = async (first) => {
      for (let number = first; number < CALLS; number += SIZE) {
        const items = [{ sku: number % 2 ? 'a' : 'b', qty: 1 + (number % 9) }];
        const asked = performance.now();
        const called = await pool.call('quote', [{ items }], { signal: AbortSignal.timeout(60_000) });
        times.push(performance.now() - asked);
        runs.push(called.record.id);
        if (called.outcome !== 'result') throw new Error(`call ${number}: ${called.outcome}`);
        totalCents += /** @type {Quote} */ (called.value).totalCents;
      }
    };
    await Promise.all(Array.from({ length: SIZE }, (_, first) => caller(first)));
    const seconds = (performance.now() - begin) / 1000;
    times.sort((a, b) => a - b);
    const at = (/** @type {number} */ part) => `${times[Math.ceil(times.length * part) - 1]?.toFixed(1)} ms`;
    console.log(`${times.length} calls in ${seconds.toFixed(1)} s, each in a container of its own`);
    console.log(`p50 ${at(0.5)}, p99 ${at(0.99)}`);
    console.log(`quoted ${(totalCents / 100).toFixed(2)}`);

    const { verdict } = await replay(runs[0] ?? '');
    console.log(`replay of ${runs[0]}: ${verdict.reproduced ? 'reproduced' : 'not reproduced'}`);
    if (!verdict.reproduced) process.exitCode = 1;
  } finally {
    await pool.close();
  }
} catch (error) {
  if (!(error instanceof SjsError)) throw error;
  console.error(`${error.code}: ${error.message}`, error.next ?? '');
  process.exitCode = 1;
}
