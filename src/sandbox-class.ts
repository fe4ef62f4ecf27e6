import { StringDecoder } from 'node:string_decoder';
import type { CodePool, CodeResult, Sjs } from './api.js';
import { SjsError } from './errors.js';
import { checkOptions } from './model/check-options.js';
import type { Language } from './model/language.js';
import { createSjs } from './sjs.js';

/** How a {@link Sandbox} is to be; each has a default. */
export interface SandboxOptions {
  /** How many containers there are for a language: 1. */
  readonly poolSize?: number;
  /** How long code may run that does not say it itself: 10 seconds. */
  readonly timeoutMs?: number;
  /** What each container may have, in MiB; by default what every sandbox may, 256. */
  readonly memoryLimitMb?: number;
  /** What code is written in that does not say it itself: Python. */
  readonly language?: Language;
  /** What it works with; by default an instance from the environment. */
  readonly sjs?: Sjs;
}

/** Code, and how it is to run. */
export interface SandboxJob {
  readonly code: string;
  readonly timeoutMs?: number;
  /** What the code finds as `data`: anything that JSON can say. */
  readonly data?: unknown;
  readonly language?: Language;
}

/** How code ended. That it failed is in here, and no error. */
export interface SandboxResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Both, in the order in which they were written. */
  readonly combined: string;
  /** It did not end by itself with exit code 0. */
  readonly isError: boolean;
  readonly timedOut: boolean;
  /** It had more memory than it may. */
  readonly outOfMemory: boolean;
  /** Null when nobody knows it. */
  readonly exitCode: number | null;
  /** What it left in `result`; undefined when that is nothing, or what JSON has no form for: then `dataError` says why. */
  readonly data: unknown;
  readonly dataError?: string;
  /** `sjs replay` and `sjs inspect` take it. */
  readonly runId: string;
}

type Callback<T extends readonly unknown[] = []> = (error: Error | null, ...result: Partial<T>) => void;

/** Code may ask for so much more time than others have. */
const LONGEST_MS = 60_000;
/** Timers go no further. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * Runs code in containers that are started ahead, each for one piece of code, as docker-python-sandbox does. Every method
 * returns a promise; one that is given a callback calls that too. What is more than there are containers for waits.
 */
export class Sandbox {
  readonly #options: Required<Omit<SandboxOptions, 'memoryLimitMb'>> & SandboxOptions;
  readonly #pools = new Map<Language, Promise<CodePool>>();
  #isClosed = false;

  constructor(options: SandboxOptions = {}) {
    checkOptions('Sandbox', options);
    const { poolSize = 1, timeoutMs = 10_000, language = 'python', sjs = createSjs() } = options;
    this.#options = { ...options, poolSize, timeoutMs, language, sjs };
  }

  /** Starts the containers of its language; those of another are started when there is code in it. */
  initialize(callback?: Callback): Promise<void> {
    return tell(this.#initialize(), callback);
  }

  /**
   * Runs code.
   * @throws SjsError for what kept it from being run; never for what it did. `RIGHTS_WIDENED` for more time than a
   * container of this sandbox has: its `timeoutMs`, and a minute at least.
   */
  run(job: string | SandboxJob, callback?: Callback<[SandboxResult]>): Promise<SandboxResult> {
    return tell(this.#run(typeof job === 'string' ? { code: job } : job), callback);
  }

  /** Waits for what is running, and removes all containers. */
  cleanup(callback?: Callback): Promise<void> {
    return tell(this.#cleanup(), callback);
  }

  async #initialize(): Promise<void> {
    await (await this.#poolOf(this.#options.language)).ready();
  }

  async #run(job: SandboxJob): Promise<SandboxResult> {
    checkOptions('Sandbox.run', job);
    const { code, timeoutMs, data, language } = job;
    const longestMs = this.#longestMs();
    if (timeoutMs !== undefined && timeoutMs > longestMs) {
      throw new SjsError(
        'RIGHTS_WIDENED',
        `timeoutMs ${timeoutMs} is more than the ${longestMs} of this sandbox`,
        {
          next: 'make the sandbox with as large a timeoutMs, or ask for less',
        },
      );
    }
    const pool = await this.#poolOf(language ?? this.#options.language);
    const output = { stdout: '', stderr: '', combined: '' };
    const receive = (stream: 'stdout' | 'stderr') => {
      const decoder = new StringDecoder('utf8');
      return (chunk?: Uint8Array): void => {
        const text = chunk ? decoder.write(chunk) : decoder.end();
        output[stream] += text;
        output.combined += text;
      };
    };
    const [onStdout, onStderr] = [receive('stdout'), receive('stderr')];
    const limits = { timeoutMs: timeoutMs ?? this.#options.timeoutMs };
    const ended = await pool.run(code, { data, limits, onStdout, onStderr });
    onStdout();
    onStderr();
    return { ...output, ...describe(ended) };
  }

  async #cleanup(): Promise<void> {
    this.#isClosed = true;
    const opened = await Promise.allSettled(this.#pools.values());
    await Promise.all(opened.flatMap((pool) => (pool.status === 'fulfilled' ? [pool.value.close()] : [])));
  }

  async #poolOf(language: Language): Promise<CodePool> {
    if (this.#isClosed) {
      throw new SjsError('POOL_CLOSED', 'the sandbox is cleaned up', { next: 'make another one' });
    }
    const opening = this.#pools.get(language) ?? this.#open(language);
    this.#pools.set(language, opening);
    // What kept it from being opened may be mended.
    opening.catch(() => this.#pools.delete(language));
    return opening;
  }

  /** What its containers have. */
  #longestMs(): number {
    return Math.max(this.#options.timeoutMs, LONGEST_MS);
  }

  #open(language: Language): Promise<CodePool> {
    const { sjs, poolSize, memoryLimitMb } = this.#options;
    return sjs.createPool({
      language,
      size: poolSize,
      max: poolSize,
      idleTimeoutMs: FOREVER_MS,
      queueTimeoutMs: FOREVER_MS,
      limits: {
        timeoutMs: this.#longestMs(),
        ...(memoryLimitMb !== undefined && { memoryBytes: memoryLimitMb * 1024 ** 2 }),
      },
    });
  }
}

const describe = ({
  record,
  data,
  dataError,
}: CodeResult): Omit<SandboxResult, 'stdout' | 'stderr' | 'combined'> => ({
  isError: record.state !== 'succeeded',
  timedOut: record.state === 'timed-out',
  outOfMemory: record.state === 'out-of-memory',
  exitCode: record.exitCode,
  data,
  ...(dataError && { dataError: dataError.message }),
  runId: record.id,
});

/** Who gave a callback hears it there, and need not look at the promise. What the callback throws is its own. */
function tell<T>(ending: Promise<T>, callback?: (error: Error | null, result?: T) => void): Promise<T> {
  if (callback) {
    ending.then(
      (result) => process.nextTick(callback, null, result),
      (error: Error) => process.nextTick(callback, error),
    );
  }
  return ending;
}
