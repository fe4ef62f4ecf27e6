import { readFile, readlink } from 'node:fs/promises';
import type { Owner } from '../../model/record.js';

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
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  return state === 'Z' || state === 'X' ? null : (fields[19] ?? null);
}

function isPidAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
