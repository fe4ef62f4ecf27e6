// Loaded by `node --require` ahead of the program, in workers and forks too: gives it a clock that says the same in each
// run, and random numbers from a seed. Root-owned in the image; Node's builtins only. It is for honest programs: one that
// wants the real time finds it. What it leaves alone stands in docs/reference/determinism.md.
import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';

/** What stands beside this file. */
interface Config {
  /** RFC 3339. */
  readonly clock: string | null;
  readonly seed: number | null;
}

type AnyFunction = (this: unknown, ...args: never[]) => unknown;

/** Puts functions in the place of others: their names stay, and a program can replace them again. */
function replace(target: object, functions: Readonly<Record<string, AnyFunction>>): void {
  for (const [name, value] of Object.entries(functions)) {
    if (!(name in target)) continue;
    Object.defineProperty(value, 'name', { value: name });
    const { enumerable = true, configurable = true } = Object.getOwnPropertyDescriptor(target, name) ?? {};
    // What cannot be replaced leads to one that is: `crypto.getRandomValues` to that of its webcrypto.
    if (!configurable) continue;
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable });
  }
}

/** Blackman and Vigna's xoshiro128**, its state the first half of a SHA-256 of the words. */
class Generator {
  private readonly state: Uint32Array;

  constructor(words: readonly (string | number)[]) {
    const hash = crypto.createHash('sha256').update(words.join('\n')).digest();
    this.state = Uint32Array.from([0, 4, 8, 12], (at) => hash.readUInt32LE(at));
  }

  next(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.state;
    const e = c ^ a;
    const f = d ^ b;
    this.state.set([a ^ f, b ^ e, e ^ (b << 9), rotate(f, 11)]);
    return Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
  }

  /** 53 bits between 0 and 1, as Matsumoto and Nishimura make them of two words. */
  fraction(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }

  /** 48 bits. */
  integer(): number {
    return (this.next() >>> 16) * 2 ** 32 + this.next();
  }

  fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 4) {
      const word = this.next();
      for (let byte = 0; byte < 4 && at + byte < bytes.length; byte += 1) {
        bytes[at + byte] = word >>> (8 * byte);
      }
    }
  }
}

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/** Random numbers from the seed. What makes keys is left alone: `generateKey`, `generateKeyPair`, `subtle`, primes. */
function seedRandom(seed: number): void {
  // Each thread and each way to ask has numbers of its own: how they take turns changes nothing.
  const words = ['sjs determinism 1', seed, threadId];
  const numbers = new Generator([...words, 'Math.random']);
  const bytes = new Generator([...words, 'crypto']);
  replace(Math, { random: () => numbers.fraction() });

  // Node's own are called all the same: they refuse what cannot be asked for.
  const { randomBytes: realBytes, randomFillSync, randomInt, randomUUID, webcrypto } = crypto;
  const realValues = webcrypto.getRandomValues.bind(webcrypto);
  const inTurn = (done: unknown, ...result: unknown[]): void =>
    process.nextTick(done as (...args: unknown[]) => void, null, ...result);
  const randomBytes = (size: number, done?: unknown): unknown => {
    const made = realBytes(size);
    bytes.fill(made);
    return done === undefined ? made : inTurn(done, made);
  };
  const fillSync = (target: NodeJS.ArrayBufferView, offset = 0, size?: number): unknown => {
    if (size === undefined) randomFillSync(target, offset);
    else randomFillSync(target, offset, size);
    const width = (target as Partial<Uint8Array>).BYTES_PER_ELEMENT ?? 1;
    // An ArrayBuffer by itself is taken too.
    const whole = ArrayBuffer.isView(target)
      ? new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
      : new Uint8Array(target);
    bytes.fill(whole.subarray(offset * width, size === undefined ? undefined : (offset + size) * width));
    return target;
  };
  const integer = (first: number, second?: unknown, third?: unknown): unknown => {
    const [low, high] = typeof second === 'number' ? [first, second] : [0, first];
    const done = typeof second === 'function' ? second : third;
    randomInt(low, high);
    const range = high - low;
    const most = 2 ** 48 - (2 ** 48 % range);
    let found = bytes.integer();
    while (found >= most) found = bytes.integer();
    const result = low + (found % range);
    return done === undefined ? result : inTurn(done, result);
  };
  const uuid = (options?: crypto.RandomUUIDOptions): string => {
    randomUUID(options);
    const made = Buffer.alloc(16);
    bytes.fill(made);
    made[6] = ((made[6] ?? 0) & 0x0f) | 0x40;
    made[8] = ((made[8] ?? 0) & 0x3f) | 0x80;
    return made.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  };
  const getRandomValues = (target: Uint8Array): Uint8Array => {
    realValues(target);
    bytes.fill(new Uint8Array(target.buffer, target.byteOffset, target.byteLength));
    return target;
  };
  replace(crypto, {
    randomBytes,
    pseudoRandomBytes: randomBytes,
    randomFillSync: fillSync,
    randomFill: (target: Uint8Array, ...rest: unknown[]) => {
      const done = rest.pop();
      inTurn(done, fillSync(target, ...(rest as number[])));
    },
    randomInt: integer,
    randomUUID: uuid,
    getRandomValues,
  });
  replace(Object.getPrototypeOf(webcrypto) as object, { getRandomValues, randomUUID: () => uuid() });
}

/**
 * A clock that begins at the given time in each thread. It goes on by a microsecond each time it is read, so that who
 * waits for it in a loop comes to an end, and to the due time of each timer that fires; never by itself.
 */
function freezeClock(start: number): void {
  let microseconds = 0;
  const read = (): number => (microseconds += 1);
  const now = (): number => start + Math.floor(read() / 1000);
  const elapsedMs = (): number => read() / 1000;
  const reach = (due: number): void => void (microseconds = Math.max(microseconds, due));

  const RealDate = Date;
  replace(RealDate, { now });
  const FrozenDate = new Proxy(RealDate, {
    apply: () => new RealDate(now()).toString(),
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
  });
  RealDate.prototype.constructor = FrozenDate;
  globalThis.Date = FrozenDate;
  freezeFormats(now);
  freezeTemporal(now);

  const hrtime = (before?: [number, number]): [number, number] => {
    const time = read();
    const [seconds, nanoseconds] = [Math.floor(time / 1e6), (time % 1e6) * 1000];
    if (before === undefined) return [seconds, nanoseconds];
    const borrowed = nanoseconds < before[1];
    return [seconds - before[0] - (borrowed ? 1 : 0), nanoseconds - before[1] + (borrowed ? 1e9 : 0)];
  };
  const bigint = (): bigint => BigInt(read()) * 1000n;
  replace(process, { hrtime: Object.assign(hrtime, { bigint }), uptime: () => read() / 1e6 });
  freezePerformance(elapsedMs, start);
  freezeConsole(elapsedMs);

  /** When a timer of that delay is due, which Node takes for 1 where it is none. */
  const dueIn = (delay: unknown): number => {
    const ms = Math.trunc(Number(delay));
    return microseconds + 1000 * (ms >= 1 && ms <= 2 ** 31 - 1 ? ms : 1);
  };
  freezeTimers(dueIn, reach);
}

type TimerCallback = (this: unknown, ...args: unknown[]) => unknown;

function freezeTimers(dueIn: (delay: unknown) => number, reach: (due: number) => void): void {
  const { setTimeout: realTimeout, setInterval: realInterval } = timers;
  const real = { ...timersPromises };
  const timeout = (callback: TimerCallback, delay?: number, ...args: unknown[]): unknown => {
    if (typeof callback !== 'function') return realTimeout(callback, delay, ...args);
    const due = dueIn(delay);
    return realTimeout(
      function (this: unknown, ...given: unknown[]) {
        reach(due);
        return callback.apply(this, given);
      },
      delay,
      ...args,
    );
  };
  const interval = (callback: TimerCallback, delay?: number, ...args: unknown[]): unknown => {
    if (typeof callback !== 'function') return realInterval(callback, delay, ...args);
    let due = dueIn(delay);
    return realInterval(
      function (this: unknown, ...given: unknown[]) {
        reach(due);
        due = dueIn(delay);
        return callback.apply(this, given);
      },
      delay,
      ...args,
    );
  };
  const wait = async <T>(delay: number | undefined, waiting: Promise<T>): Promise<T> => {
    const due = dueIn(delay);
    const value = await waiting;
    reach(due);
    return value;
  };
  const laterOnce = (delay?: number, ...rest: unknown[]): unknown =>
    wait(delay, real.setTimeout(delay, ...(rest as [])));
  const laterAgain = async function* (delay?: number, ...rest: unknown[]): AsyncGenerator {
    let due = dueIn(delay);
    for await (const value of real.setInterval(delay, ...(rest as []))) {
      reach(due);
      due = dueIn(delay);
      yield value;
    }
  };
  Object.defineProperty(timeout, promisify.custom, { value: laterOnce });
  for (const target of [globalThis, timers]) replace(target, { setTimeout: timeout, setInterval: interval });
  replace(timersPromises, { setTimeout: laterOnce, setInterval: laterAgain });
  const { scheduler } = real;
  const realWait = scheduler.wait.bind(scheduler);
  replace(Object.getPrototypeOf(scheduler) as object, {
    wait: (delay: number, options?: object) => wait(delay, realWait(delay, options)),
  });
}

/** What formats the present time when it is given none. */
function freezeFormats(now: () => number): void {
  const { prototype } = Intl.DateTimeFormat;
  type Format = (this: Intl.DateTimeFormat, date?: number | Date) => unknown;
  const real = Object.getOwnPropertyDescriptor(prototype, 'format') as PropertyDescriptor;
  const bound = Reflect.get(real, 'get') as (this: Intl.DateTimeFormat) => Format;
  const toParts = Reflect.get(prototype, 'formatToParts') as Format;
  Object.defineProperty(prototype, 'format', {
    ...real,
    get(this: Intl.DateTimeFormat): Format {
      const format = bound.call(this);
      return (date) => format.call(this, date ?? now());
    },
  });
  replace(prototype, {
    formatToParts(date?: number | Date) {
      return toParts.call(this as Intl.DateTimeFormat, date ?? now());
    },
  });
}

/** What a Node that has Temporal has of it, as far as it is used here. */
interface TemporalNow {
  readonly Now: { timeZoneId(): string };
  readonly Instant: {
    fromEpochMilliseconds(ms: number): {
      toZonedDateTimeISO(zone: unknown): Readonly<Record<string, () => unknown>>;
    };
  };
}

function freezeTemporal(now: () => number): void {
  const { Temporal } = globalThis as { Temporal?: TemporalNow };
  if (!Temporal) return;
  const instant = () => Temporal.Instant.fromEpochMilliseconds(now());
  const zoned = (zone: unknown = Temporal.Now.timeZoneId()) => instant().toZonedDateTimeISO(zone);
  replace(Temporal.Now, {
    instant,
    zonedDateTimeISO: zoned,
    plainDateTimeISO: (zone?: unknown) => zoned(zone)['toPlainDateTime']?.(),
    plainDateISO: (zone?: unknown) => zoned(zone)['toPlainDate']?.(),
    plainTimeISO: (zone?: unknown) => zoned(zone)['toPlainTime']?.(),
  });
}

function freezePerformance(elapsedMs: () => number, start: number): void {
  const { performance } = globalThis;
  const prototype = Object.getPrototypeOf(performance) as typeof performance;
  const mark = prototype.mark.bind(performance);
  const measure = prototype.measure.bind(performance);
  replace(prototype, {
    now: elapsedMs,
    mark: (name: string, options: PerformanceMarkOptions = {}) =>
      mark(name, { startTime: elapsedMs(), ...options }),
    measure: (name: string, from?: string | PerformanceMeasureOptions, to?: string) => {
      const options =
        typeof from === 'object'
          ? from
          : { ...(from !== undefined && { start: from }), ...(to !== undefined && { end: to }) };
      const isBounded =
        options.end !== undefined || (options.start !== undefined && options.duration !== undefined);
      return measure(name, {
        start: 0,
        ...options,
        ...(!isBounded && { end: elapsedMs() }),
      });
    },
  });
  for (const target of [prototype, performance]) {
    Object.defineProperty(target, 'timeOrigin', { value: start, configurable: true, enumerable: true });
  }
}

interface PerformanceMarkOptions {
  readonly startTime?: number;
  readonly detail?: unknown;
}

interface PerformanceMeasureOptions extends PerformanceMarkOptions {
  readonly start?: number | string;
  readonly end?: number | string;
  readonly duration?: number;
}

/** Node's own print the real time that passed. */
function freezeConsole(elapsedMs: () => number): void {
  const started = new Map<string, number>();
  const say = (label: string, rest: readonly unknown[]): void => {
    const from = started.get(label);
    if (from === undefined) process.emitWarning(`No such label '${label}' for console.time()`);
    else console.log(`${label}: ${Number((elapsedMs() - from).toFixed(3))}ms`, ...rest);
  };
  replace(console, {
    time: (label: unknown = 'default') => void started.set(String(label), elapsedMs()),
    timeLog: (label: unknown = 'default', ...rest: unknown[]) => say(String(label), rest),
    timeEnd: (label: unknown = 'default') => {
      say(String(label), []);
      started.delete(String(label));
    },
  });
}

const { clock, seed } = JSON.parse(readFileSync(join(__dirname, 'determinism.json'), 'utf8')) as Config;
if (seed !== null) seedRandom(seed);
if (clock !== null) freezeClock(Date.parse(clock));
syncBuiltinESMExports();
