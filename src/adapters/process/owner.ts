import { readFile, readlink } from 'node:fs/promises';
import type { Owner } from '../../model/record.js';
import { isPidAlive } from './is-pid-alive.js';

/** The owner that this process is: boot, pid and start time together never repeat. */
export async function currentOwner(home: string): Promise<Owner> {
  const [bootId, startTime] = await Promise.all([readBootId(), readStartTime(process.pid)]);
  return { bootId, pid: process.pid, startTime: startTime ?? '', home };
}

/**
 * Whether the process that owns a run still lives. On Linux a pid that passed to another process, or a reboot, counts
 * as dead; elsewhere only the pid is known, and when in doubt the owner is taken to live.
 */
export async function isOwnerAlive(owner: Owner): Promise<boolean> {
  const [bootId, startTime] = await Promise.all([readBootId(), readStartTime(owner.pid)]);
  if (bootId !== owner.bootId) {
    // The same boot in another pid namespace: its processes cannot be seen from here.
    return bootId !== '' && bootOf(bootId) === bootOf(owner.bootId);
  }
  if (bootId === '') return isPidAlive(owner.pid);
  return startTime !== null && startTime === owner.startTime;
}

/** Whether that process lives and does nothing, as after Ctrl-Z; false where nobody can tell. */
export async function isOwnerStopped(owner: Owner): Promise<boolean> {
  if (!(await isOwnerAlive(owner))) return false;
  const state = (await readStat(owner.pid))?.[0];
  return state === 'T' || state === 't';
}

/** The boot and the pid namespace: a pid means something only within both. Empty where there is no /proc. */
async function readBootId(): Promise<string> {
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return boot === '' ? '' : `${boot.trim()} ${namespace}`;
}

const bootOf = (bootId: string): string | undefined => bootId.split(' ')[0];

/** Field 22 of /proc/<pid>/stat, or null when there is no such process or it is only waiting to be reaped. */
async function readStartTime(pid: number): Promise<string | null> {
  const fields = await readStat(pid);
  return fields === null || fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
}

/** The fields of /proc/<pid>/stat from the third on, which is the state. */
async function readStat(pid: number): Promise<readonly string[] | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
