import { EventEmitter, once } from 'node:events';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../errors.js';
import { formatDuration } from '../model/quantity.js';
import type { Clock } from '../ports/clock.js';
import type { Member } from '../ports/engine.js';

/** How many containers a pool has, and for how long. */
export interface PoolBounds {
  /** How many wait, ready. */
  readonly size: number;
  /** How many there are at most, those at work included. */
  readonly max: number;
  /** After so long without a claim none is kept; the next claim begins anew. */
  readonly idleTimeoutMs: number;
  /** One that has waited so long is replaced. */
  readonly maxAgeMs: number;
  /** How long a claim waits for a container. */
  readonly queueTimeoutMs: number;
}

/** How a pool stands: containers that wait, that are being started, that are at work, and claims that wait. */
export interface PoolCounts {
  readonly ready: number;
  readonly starting: number;
  readonly busy: number;
  readonly waiting: number;
  /** How many were handed out so far. */
  readonly claimed: number;
}

/** What a pool works with. */
interface Making {
  readonly start: () => Promise<Member>;
  readonly clock: Clock;
  /** Told when a container could not be started and nobody waits for it. */
  readonly onFailed: (error: unknown) => void;
}

/** Containers started ahead, each for one claim. */
export interface WarmPool {
  /**
   * A container that nobody had, and the engine says is as it was started. First come, first served.
   * @throws SjsError `POOL_EXHAUSTED`, `POOL_CLOSED`, `ABORTED`, and what kept one from being started.
   */
  claim(signal?: AbortSignal, withinMs?: number): Promise<Member>;
  /** Removes a container that was claimed. */
  release(member: Member): void;
  /** Fulfilled when so many are ready as there are to be; rejects with what keeps one from being started. */
  filled(): Promise<void>;
  counts(): PoolCounts;
  /** Ends claims that wait, and removes containers that do; the next claim begins anew. */
  rest(): void;
  /** Ends what waits, waits for what is at work, and removes all. */
  drain(): Promise<void>;
}

interface Waiter {
  readonly take: (member: Member) => void;
  readonly fail: (error: unknown) => void;
}

/** Containers that are started at a time: more only wait for each other. */
const MOST_STARTING = 4;
/** A call has the machine to itself for so long: most are over by then, and to start a container takes a while. */
const REFILL_AFTER_MS = 20;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/** A pool that fills itself; nothing is started before the first claim or {@link WarmPool.filled}. */
export function createWarmPool(bounds: PoolBounds, { start, clock, onFailed }: Making): WarmPool {
  const ready: { readonly member: Member; readonly since: number }[] = [];
  const waiters: Waiter[] = [];
  const removing = new Set<Promise<void>>();
  const busy = new Set<Member>();
  let starting = 0;
  let claimed = 0;
  let isClosed = false;
  let isWanted = false;
  let wantedAt = 0;
  let retryMs = 0;
  const events = new EventEmitter();
  const tell = (): void => void events.emit('changed');
  const change = (): Promise<unknown> => once(events, 'changed');
  /** What the last start failed with; null since one went well. */
  let failure: { readonly error: unknown } | null = null;

  const remove = (member: Member): void => {
    // Whoever waits for the outcome of its run has that first.
    const removed = setImmediate()
      .then(() => member.remove())
      .catch(onFailed);
    removing.add(removed);
    void removed.then(() => {
      removing.delete(removed);
      tell();
      fill();
    });
  };
  const total = (): number => ready.length + starting + busy.size + removing.size;
  const fill = (): void => {
    if (isClosed || !isWanted || (retryMs > 0 && waiters.length === 0)) return;
    while (
      starting < MOST_STARTING &&
      total() < bounds.max &&
      ready.length + starting < bounds.size + waiters.length
    ) {
      starting += 1;
      void startOne();
    }
  };
  let later: NodeJS.Timeout | null = null;
  const fillLater = (): void => {
    later ??= setTimeout(() => {
      later = null;
      fill();
    }, REFILL_AFTER_MS);
  };
  const startOne = async (): Promise<void> => {
    try {
      const member = await start();
      starting -= 1;
      failure = null;
      if (isClosed) remove(member);
      else ready.push({ member, since: clock.monotonic() });
    } catch (error) {
      starting -= 1;
      failure = { error };
      const waiter = waiters.shift();
      if (waiter) waiter.fail(error);
      else onFailed(error);
      void retry();
    }
    tell();
    serve();
    fill();
  };
  let waitMs = FIRST_RETRY_MS;
  const retry = async (): Promise<void> => {
    if (retryMs > 0) return;
    retryMs = waitMs;
    waitMs = Math.min(2 * waitMs, LAST_RETRY_MS);
    await delay(retryMs, undefined, { ref: false });
    retryMs = 0;
    fill();
  };
  const serve = (): void => {
    while (waiters.length > 0) {
      const found = ready.shift();
      if (!found) return;
      waitMs = FIRST_RETRY_MS;
      busy.add(found.member);
      (waiters.shift() as Waiter).take(found.member);
    }
  };
  /** One that ended while it waited would end again: the next ones are tried less and less often. */
  let isLooking = false;
  const removeUnfit = async (): Promise<void> => {
    if (isLooking) return;
    isLooking = true;
    for (const found of [...ready]) {
      const isFit = await found.member.isFit().catch(() => true);
      const at = ready.indexOf(found);
      if (isFit || at === -1) continue;
      ready.splice(at, 1);
      onFailed(memberEnded());
      void retry();
      remove(found.member);
    }
    isLooking = false;
  };
  /** Looks now and then for what has waited too long. */
  const timer = setInterval(
    () => {
      const now = clock.monotonic();
      if (waiters.length > 0) wantedAt = now;
      if (now - wantedAt >= bounds.idleTimeoutMs) isWanted = false;
      for (const found of [...ready]) {
        if (isWanted && now - found.since < bounds.maxAgeMs) continue;
        ready.splice(ready.indexOf(found), 1);
        remove(found.member);
      }
      fill();
      void removeUnfit();
    },
    Math.min(bounds.idleTimeoutMs, bounds.maxAgeMs, 1000),
  );
  timer.unref();
  const want = (): void => {
    if (isClosed) throw poolClosed();
    isWanted = true;
    wantedAt = clock.monotonic();
  };
  const waitTurn = (timeoutMs: number, isFirst: boolean, signal?: AbortSignal): Promise<Member> =>
    new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(limit);
        signal?.removeEventListener('abort', onAbort);
        const at = waiters.indexOf(waiter);
        if (at !== -1) waiters.splice(at, 1);
      };
      const waiter: Waiter = {
        take(member) {
          settle();
          resolve(member);
        },
        fail(error) {
          settle();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      };
      const limit = setTimeout(() => waiter.fail(exhausted(bounds)), Math.max(0, timeoutMs));
      const onAbort = (): void =>
        waiter.fail(new SjsError('ABORTED', 'stopped while it waited for the pool'));
      signal?.addEventListener('abort', onAbort, { once: true });
      if (isFirst) waiters.unshift(waiter);
      else waiters.push(waiter);
      serve();
      if (waiters.includes(waiter)) fill();
    });
  return {
    async claim(signal, withinMs = bounds.queueTimeoutMs) {
      const begin = clock.monotonic();
      for (let turns = 0; ; turns += 1) {
        want();
        // All that there were may have been stopped from outside; more than that ended by themselves.
        if (turns > bounds.max) throw memberEnded();
        if (signal?.aborted) throw new SjsError('ABORTED', 'stopped before it began');
        const member = await waitTurn(withinMs - (clock.monotonic() - begin), turns > 0, signal);
        if (waiters.length > 0) fill();
        else fillLater();
        const isFit = await member.isFit().catch((error: unknown) => {
          release(member);
          throw error;
        });
        if (isFit) {
          claimed += 1;
          return member;
        }
        release(member);
      }
    },
    release,
    async filled() {
      want();
      fill();
      while (ready.length + busy.size < Math.min(bounds.size, bounds.max)) {
        if (failure) throw failure.error;
        if (isClosed) throw poolClosed();
        await change();
      }
    },
    counts: () => ({
      ready: ready.length,
      starting,
      busy: busy.size,
      waiting: waiters.length,
      claimed,
    }),
    rest() {
      isWanted = false;
      for (const waiter of [...waiters]) waiter.fail(poolClosed());
      for (const { member } of ready.splice(0)) remove(member);
    },
    async drain() {
      isClosed = true;
      clearInterval(timer);
      if (later) clearTimeout(later);
      for (const waiter of [...waiters]) waiter.fail(poolClosed());
      for (const { member } of ready.splice(0)) remove(member);
      tell();
      while (total() > 0) await change();
    },
  };

  function release(member: Member): void {
    if (busy.delete(member)) remove(member);
  }
}

export const poolClosed = (): SjsError =>
  new SjsError('POOL_CLOSED', 'the pool is closed', { next: 'open another one' });

const memberEnded = (): SjsError =>
  new SjsError(
    'POOL_MEMBER_ENDED',
    'a container of the pool ended, or was changed, before it was asked for anything',
    {
      next: 'see whether the program ends when it is loaded: sjs run and sjs call start it without a pool',
    },
  );

const exhausted = ({ queueTimeoutMs, max }: PoolBounds): SjsError =>
  new SjsError('POOL_EXHAUSTED', `no container became free within ${formatDuration(queueTimeoutMs)}`, {
    next: `call less at a time, wait longer, or let the pool have more than ${max}`,
  });
