import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/**
 * Runs a command to its end with nothing to read and its output thrown away: by the kernel, or with `drain` through a
 * pipe; `pipe` keeps it.
 * @returns wall time in milliseconds; from the first to the last piece of its output; and with `withMemory` the peak
 * resident memory in MiB of that process alone
 */
export async function time(command, { env = process.env, cwd, withMemory = false, stdout = 'ignore' } = {}) {
  const begin = performance.now();
  const child = spawn(command[0], command.slice(1), {
    env,
    cwd,
    stdio: ['ignore', stdout === 'drain' ? 'pipe' : stdout, 'pipe'],
  });
  const errors = [];
  child.stderr.on('data', (chunk) => errors.push(chunk));
  const output = [];
  let [firstMs, lastMs] = [0, 0];
  child.stdout?.on('data', (chunk) => {
    lastMs = performance.now();
    firstMs ||= lastMs;
    if (stdout === 'pipe') output.push(chunk);
  });
  let peakMiB = 0;
  const watch = withMemory
    ? setInterval(() => {
        try {
          const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
          peakMiB = Math.max(peakMiB, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
        } catch {
          // It has ended.
        }
      }, 5)
    : undefined;
  // With `exit`, a pipe that a child of it still holds would not count; its output is read to the end below.
  const [code] = await once(child, 'exit');
  const wallMs = performance.now() - begin;
  clearInterval(watch);
  if (code !== 0) {
    throw new Error(
      `${command.join(' ')} ended with ${code}: ${Buffer.concat(errors).toString().slice(-2000)}`,
    );
  }
  return {
    wallMs,
    peakMiB,
    outputMs: lastMs - firstMs,
    stdout: Buffer.concat(output).toString(),
    stderr: Buffer.concat(errors).toString(),
  };
}

/**
 * Takes turns: every round runs each side once, in an order that rotates, so that what else the machine does meets all
 * of them alike. One round ahead is not counted.
 * @param sides name to a function that returns milliseconds, or an object of figures
 * @returns name to the list of what each round gave
 */
export async function interleave(rounds, sides) {
  const names = Object.keys(sides);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (let index = 0; index < names.length; index += 1) {
      const name = names[(index + Math.max(round, 0)) % names.length];
      const result = await sides[name](round);
      if (round >= 0) results[name].push(result);
    }
    process.stderr.write(`\r  round ${Math.max(round + 1, 0)} of ${rounds}`);
  }
  process.stderr.write('\r\x1b[K');
  return results;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const round = (value, digits = 1) => Number(value.toFixed(digits));
