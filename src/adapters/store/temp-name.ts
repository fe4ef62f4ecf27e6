import { randomBytes } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { sha256, shortDigest } from '../../model/digest.js';
import { isPidAlive } from '../process/is-pid-alive.js';

/**
 * Names of files on their way into the store say who writes them: `<boot>-<pid>-<start>-<series and number>`. Boot covers the pid
 * namespace too, so that a store shared between machines or containers never takes a foreign process for a dead one.
 * What a run is writing says so behind that: `.<run>.<stream>`.
 */
const NAME = /^([0-9a-f]{12})-([0-9]+)-([0-9]+)-[0-9a-f]{12}(?:\.[0-9A-Z]{26}\.[a-z]+)?$/;

let own: Promise<string> | undefined;
const series = randomBytes(3).toString('hex');
let count = 0;

/** A fresh name for a temporary file of this process. */
export async function createTempName(): Promise<string> {
  own ??= Promise.all([readBoot(), readStartTime(process.pid)]).then(
    ([boot, start]) => `${boot}-${process.pid}-${start ?? '0'}`,
  );
  count = (count + 1) % 2 ** 24;
  const number = count.toString(16).padStart(6, '0');
  return `${await own}-${series}${number}`;
}

/**
 * Whether the process that made the name is proven dead. `unknown` when it is of another boot or machine, or when the
 * name is none of ours.
 */
export async function judgeTempOwner(name: string): Promise<'alive' | 'dead' | 'unknown'> {
  const match = NAME.exec(name);
  if (!match || match[1] !== (await readBoot())) return 'unknown';
  const start = await readStartTime(Number(match[2]));
  return start === match[3] ? 'alive' : 'dead';
}

async function readBoot(): Promise<string> {
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return shortDigest(sha256(`${boot}${namespace}`));
}

/** Field 22 of the process's stat; null when there is no such process. '0' where the machine has no /proc. */
async function readStartTime(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command name before the last parenthesis may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return process.platform === 'linux' || !isPidAlive(pid) ? null : '0';
  }
}
