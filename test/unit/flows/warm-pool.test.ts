import { afterEach, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { createWarmPool, type PoolBounds, type WarmPool } from '../../../src/flows/warm-pool.js';
import { systemClock } from '../../../src/ports/clock.js';
import type { Member } from '../../../src/ports/engine.js';

/** An engine that only counts: what it started, what it has, what it was told to remove. */
function makeEngine() {
  const started: string[] = [];
  const there = new Set<string>();
  const unfit = new Set<string>();
  const failures: unknown[] = [];
  let most = 0;
  let failNext = 0;
  let holding: Promise<void> | null = null;
  const start = async (): Promise<Member> => {
    await (holding ?? delay(1));
    if (failNext > 0) {
      failNext -= 1;
      throw new Error('the engine is away');
    }
    const id = `member-${started.length}`;
    started.push(id);
    there.add(id);
    most = Math.max(most, there.size);
    return {
      id,
      isFit: () => Promise.resolve(there.has(id) && !unfit.has(id)),
      run: () => Promise.reject(new Error('not here')),
      remove: async () => {
        await delay(1);
        there.delete(id);
      },
    };
  };
  return {
    started,
    there,
    unfit,
    failures,
    start,
    clock: systemClock,
    onFailed: (error: unknown) => void failures.push(error),
    most: () => most,
    fail: (times: number) => void (failNext = times),
    hold: () => {
      let go = (): void => undefined;
      holding = new Promise((resolve) => (go = resolve));
      return () => {
        holding = null;
        go();
      };
    },
  };
}

const BOUNDS: PoolBounds = {
  size: 2,
  max: 4,
  idleTimeoutMs: 60_000,
  maxAgeMs: 60_000,
  queueTimeoutMs: 5_000,
};

let pool: WarmPool | null = null;
afterEach(async () => {
  await pool?.drain();
  pool = null;
});

const open = (engine: ReturnType<typeof makeEngine>, bounds: Partial<PoolBounds> = {}): WarmPool =>
  (pool = createWarmPool({ ...BOUNDS, ...bounds }, engine));

test('starts nothing before it is asked, and then as many as are to wait', async () => {
  const engine = makeEngine();
  const made = open(engine);
  expect(engine.started).toEqual([]);
  await made.filled();
  expect(made.counts()).toEqual({ ready: 2, starting: 0, busy: 0, waiting: 0, claimed: 0 });
});

test('gives each container away once, and never has more than its most', async () => {
  const engine = makeEngine();
  const made = open(engine);
  const seen = new Set<string>();
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const member = await made.claim();
      expect(seen.has(member.id)).toBe(false);
      seen.add(member.id);
      await delay(1);
      made.release(member);
    }),
  );
  expect(seen.size).toBe(100);
  expect(engine.most()).toBeLessThanOrEqual(BOUNDS.max);
});

test('who came first is served first', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, max: 1 });
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 8 }, async (_, at) => {
      const member = await made.claim();
      order.push(at);
      made.release(member);
    }),
  );
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('one that is not as it was started is removed, and another handed out', async () => {
  const engine = makeEngine();
  const made = open(engine);
  await made.filled();
  engine.unfit.add('member-0');
  const member = await made.claim();
  expect(member.id).not.toBe('member-0');
  expect(made.counts().claimed).toBe(1);
  await delay(5);
  expect(engine.there.has('member-0')).toBe(false);
  made.release(member);
});

test('who waits too long is told so, and takes no container with it', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, max: 1, queueTimeoutMs: 20 });
  const member = await made.claim();
  await expect(made.claim()).rejects.toMatchObject({ code: 'POOL_EXHAUSTED' });
  expect(made.counts().waiting).toBe(0);
  made.release(member);
  made.release(await made.claim());
});

test('who gives up waits no longer', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, max: 1 });
  const member = await made.claim();
  const controller = new AbortController();
  const waiting = made.claim(controller.signal);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
  await expect(made.claim(controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
  made.release(member);
});

test('an engine that fails fails who waits, and is tried again', async () => {
  const engine = makeEngine();
  engine.fail(1);
  const made = open(engine, { size: 1, max: 1 });
  await expect(made.claim()).rejects.toThrow('the engine is away');
  const member = await made.claim();
  expect(member.id).toBe('member-0');
  made.release(member);
});

test('an engine that fails while nobody waits is told of, and said to who asks for a full pool', async () => {
  const engine = makeEngine();
  engine.fail(1);
  const made = open(engine, { size: 1 });
  await expect(made.filled()).rejects.toThrow('the engine is away');
  expect(engine.failures).toHaveLength(1);
});

test('without a claim for long none is kept, and the next claim begins anew', async () => {
  const engine = makeEngine();
  const made = open(engine, { idleTimeoutMs: 30 });
  await made.filled();
  while (engine.there.size > 0) await delay(5);
  expect(made.counts().ready).toBe(0);
  made.release(await made.claim());
});

test('one that has waited too long is replaced', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, maxAgeMs: 30 });
  await made.filled();
  while (engine.there.has('member-0')) await delay(5);
  await made.filled();
  made.release(await made.claim());
});

test('ends who waits, waits for what is at work, and leaves nothing', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 2, max: 2 });
  const [first, second] = await Promise.all([made.claim(), made.claim()]);
  const waiting = made.claim();
  waiting.catch(() => undefined);
  let hasEnded = false;
  const draining = made.drain().then(() => (hasEnded = true));
  await expect(waiting).rejects.toMatchObject({ code: 'POOL_CLOSED' });
  made.release(first);
  await delay(5);
  expect(hasEnded).toBe(false);
  made.release(second);
  await draining;
  expect(engine.there.size).toBe(0);
  await expect(made.claim()).rejects.toMatchObject({ code: 'POOL_CLOSED' });
});

test('one that comes up after the end is removed', async () => {
  const engine = makeEngine();
  const go = engine.hold();
  const made = open(engine);
  const waiting = made.claim();
  waiting.catch(() => undefined);
  const draining = made.drain();
  go();
  await draining;
  expect(engine.started.length).toBeGreaterThan(0);
  expect(engine.there.size).toBe(0);
});

test('claims that wait longer than a pool stays idle are served, as others were before', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, max: 1, idleTimeoutMs: 20, queueTimeoutMs: 10_000 });
  const use = async (): Promise<string> => {
    const member = await made.claim();
    await delay(60);
    made.release(member);
    return member.id;
  };
  const ids = await Promise.all(Array.from({ length: 4 }, use));
  expect(new Set(ids).size).toBe(4);
});

test('a pool that rests keeps nothing, ends claims that wait, and begins anew with the next', async () => {
  const engine = makeEngine();
  const made = open(engine, { size: 1, max: 1 });
  const member = await made.claim();
  const waiting = made.claim();
  made.rest();
  await expect(waiting).rejects.toMatchObject({ code: 'POOL_CLOSED' });
  made.release(member);
  await delay(50);
  expect(engine.there.size).toBe(0);
  made.release(await made.claim());
});

test('a container that ends while it waits is noticed, and one that always ends is tried less and less', async () => {
  const engine = makeEngine();
  pool = createWarmPool({ ...BOUNDS, size: 1, max: 2 }, engine);
  await pool.filled();
  const [first = ''] = engine.started;
  engine.unfit.add(first);
  while (engine.failures.length === 0) await delay(5);
  expect(engine.failures).toEqual([expect.objectContaining({ code: 'POOL_MEMBER_ENDED' })]);
  expect(pool.counts().ready).toBe(0);
});

test('a claim ends when every container has ended before it', async () => {
  const engine = makeEngine();
  pool = createWarmPool({ ...BOUNDS, size: 1, max: 2 }, { ...engine, start: endsAtOnce(engine.start) });
  await expect(pool.claim()).rejects.toMatchObject({ code: 'POOL_MEMBER_ENDED' });
  expect(engine.started.length).toBeLessThanOrEqual(BOUNDS.max + 1);
});

const endsAtOnce = (start: () => Promise<Member>) => async (): Promise<Member> => ({
  ...(await start()),
  isFit: () => Promise.resolve(false),
});
