import type { Readable } from 'node:stream';
import { SjsError } from '../../errors.js';
import { findProgram } from './find-program.js';

/** One program to run to its end. Never a shell. */
export interface ProgramCall {
  /** Name to find in `path`, or an absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment of the program: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Where to look for the program. */
  readonly path: string;
  /** What stands on stdin; without it stdin is empty. */
  readonly input?: string | Readable;
  readonly timeoutMs: number;
  /** Most that it may print, per stream, in characters; default {@link MAX_OUTPUT}. */
  readonly maxOutput?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a program ended. Text is UTF-8, whole unless `tooMuchOutput`. */
export interface ProgramResult {
  /** Null when it was killed or never started. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** It is not in `path`, or not executable. */
  readonly missing: boolean;
  readonly tooMuchOutput: boolean;
}

/** Most that a program may print, per stream, in characters, unless its caller expects more (ATTACKS B18). */
export const MAX_OUTPUT = 8 * 1024 ** 2;

/**
 * Runs a program and returns how it ended; a bad end is a result, not an error. On time-out, on too much output and on
 * abort the program and all that it started are killed.
 * @throws SjsError `ABORTED` when the signal fires.
 */
export async function runProgram(call: ProgramCall): Promise<ProgramResult> {
  const failed = { exitCode: null, stdout: '', stderr: '', timedOut: false, tooMuchOutput: false };
  const { execa } = await import('execa');
  const file = findProgram(call.program, call.path);
  if (call.signal?.aborted) throw aborted(call.program, call.signal);
  if (file === null) return { ...failed, missing: true };

  const child = execa(file, call.args, {
    env: { ...call.env },
    extendEnv: false,
    ...(call.input === undefined ? { stdin: 'ignore' as const } : { input: call.input }),
    maxBuffer: call.maxOutput ?? MAX_OUTPUT,
    killSignal: 'SIGKILL',
    // A process group of its own, so that what the program started dies with it, and no terminal to ask at.
    detached: true,
    reject: false,
    stripFinalNewline: false,
  });
  // execa's own limits kill the program alone, and then wait for whoever holds its output open.
  let timedOut = false;
  endWithThisProcess(child.pid);
  const stop = (): void => killGroup(child.pid);
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, call.timeoutMs);
  call.signal?.addEventListener('abort', stop, { once: true });
  try {
    const result = await child;
    if (result.isMaxBuffer) stop();
    if (call.signal?.aborted) throw aborted(call.program, call.signal);
    return {
      exitCode: result.exitCode ?? null,
      stdout: result.stdout,
      stderr: result.stderr,
      timedOut,
      missing: child.pid === undefined,
      tooMuchOutput: result.isMaxBuffer,
    };
  } finally {
    clearTimeout(timer);
    if (child.pid !== undefined) running.delete(child.pid);
    call.signal?.removeEventListener('abort', stop);
  }
}

/** Leaders of the groups that run now. */
const running = new Set<number>();

/** A group of its own outlives whoever started it. */
function endWithThisProcess(leader: number | undefined): void {
  if (leader === undefined) return;
  if (!process.listeners('exit').includes(endAll)) process.on('exit', endAll);
  running.add(leader);
}

const endAll = (): void => running.forEach(killGroup);

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Nothing of the group is left.
  }
}

function aborted(program: string, signal: AbortSignal | undefined): SjsError {
  return new SjsError('ABORTED', `${program} was interrupted`, { cause: signal?.reason });
}
