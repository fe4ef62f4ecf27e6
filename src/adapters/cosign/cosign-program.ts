import pLimit from 'p-limit';
import type { Digest } from '../../model/digest.js';
import { findProgram } from '../process/find-program.js';
import { MAX_OUTPUT, runProgram, type ProgramResult } from '../process/run-program.js';
import { explainNoAnswer } from './cosign-errors.js';
import { detectVersion, recallVersion } from './cosign-version.js';

/** What cosign takes from the machine. */
export interface CosignOptions {
  /** The operator's environment: `PATH`, `DOCKER_CONFIG`, `COSIGN_PASSWORD`; nothing else of it reaches cosign. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder: Docker's credentials and cosign's trust root lie there. */
  readonly home: string;
  /** Milliseconds one call may take; default 30 s. */
  readonly timeoutMs?: number;
  /** Keeps the version of a program that is still the same file: finding it takes longer than to verify. */
  readonly versions?: VersionMemory;
}

/** Versions by what identifies a file. Never fails. */
export interface VersionMemory {
  get(identity: Digest): Promise<string | null>;
  set(identity: Digest, version: string): Promise<void>;
}

/** Runs cosign with the fixed part of its environment and the given rest; `maxOutput` as for every program. */
export type RunCosign = (
  args: readonly string[],
  signal?: AbortSignal,
  env?: Readonly<Record<string, string>>,
  maxOutput?: number,
) => Promise<ProgramResult>;

/**
 * So many run at once, of all programs together: a policy can ask for every key, type and layer in the same moment, and
 * each is a process of its own.
 */
const inTurn = pLimit(8);

/** A call ends before collecting garbage pays: a quarter of its time. Beyond this much memory Go collects all the same. */
const GO_RUNTIME = { GOGC: 'off', GOMEMLIMIT: '96MiB' };

/** Names that reach cosign when they are set: to find credentials, and nothing that moves its trust (ATTACKS B09). */
const PASSED_ON = ['PATH', 'DOCKER_CONFIG', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'] as const;

/** The `cosign` program in PATH, versions 2.5 to 3. Nothing is started before the first call. */
export interface CosignProgram {
  readonly run: RunCosign;
  /** Its version, asked for once. */
  readonly version: (signal?: AbortSignal) => Promise<string>;
  /** Does both at once: an answer of an unsupported version does not count. */
  readonly besidesVersion: <T>(ask: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal) => Promise<T>;
}

/** Finds and runs cosign with the fixed part of its environment. */
export function createCosignProgram(options: CosignOptions): CosignProgram {
  const passedOn = Object.fromEntries(
    PASSED_ON.flatMap((name) => (options.env[name] ? [[name, options.env[name]]] : [])),
  );
  const timeoutMs = options.timeoutMs ?? 30_000;
  const path = options.env['PATH'] ?? '';
  let place: string | null = null;
  const find = (): string | null => (place ??= findProgram('cosign', path));
  const run: RunCosign = async (args, signal, env = {}, maxOutput = MAX_OUTPUT) => {
    const program = find() ?? 'cosign';
    const result = await inTurn(() =>
      runProgram({
        program,
        args,
        path,
        env: { ...passedOn, ...GO_RUNTIME, HOME: options.home, ...env },
        timeoutMs,
        maxOutput,
        signal,
      }),
    );
    if (result.missing) place = null;
    const failure = explainNoAnswer(result, timeoutMs, maxOutput);
    if (failure) throw failure;
    return result;
  };
  let known: Promise<string> | undefined;
  const version = (signal?: AbortSignal): Promise<string> => {
    known ??= recallVersion(options.versions, find(), () => detectVersion(run, path, signal)).catch(
      (error: unknown) => {
        known = undefined;
        throw error;
      },
    );
    return known;
  };
  const besidesVersion = async <T>(
    ask: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> => {
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const [, answer] = await Promise.all([
      version(signal).catch((error: unknown) => {
        stop.abort(error);
        throw error;
      }),
      ask(either),
    ]);
    return answer;
  };

  return { run, version, besidesVersion };
}
