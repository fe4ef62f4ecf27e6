import { SjsError, type ErrorCode } from '../errors.js';
import type { Answer } from '../model/call.js';
import type { Policy } from '../model/policy.js';
import { formatBytes, formatCpu } from '../model/quantity.js';
import type { RunRecord } from '../model/record.js';
import type { RunPlan, RunRequest } from '../model/run-plan.js';
import type { Resources } from '../model/sandbox.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Member, RunSignals } from '../ports/engine.js';
import { silentReporter, type Reporter } from '../ports/reporter.js';
import type { Watched } from '../ports/watched.js';
import { readOutcome } from '../stages/call/read-outcome.js';
import { fitsMember, planMember, planRun } from '../stages/plan/plan-run.js';
import { tightenResources } from '../stages/plan/tighten-resources.js';
import type { CallResult } from './call-function.js';
import { executeRun, type AllowedEngine, type DecidedRun, type RunOutput } from './execute-run.js';
import { findSealedImage } from './find-target.js';
import { markMember } from './recover-runs.js';
import { requireControls, type RunTools } from './run-sandbox.js';
import { admitSeal } from './trust-seal.js';
import { createWarmPool, poolClosed, type PoolBounds, type PoolCounts, type WarmPool } from './warm-pool.js';

/** How a pool is to be; each has a default. */
export interface PoolOptions extends Partial<PoolBounds> {
  /** Load the program before there is a call: then the pool has no container for runs of it. */
  readonly preload?: boolean;
  /** Tighter limits of each container. */
  readonly limits?: Partial<Resources>;
  /** What its containers may have together, by their limits. */
  readonly memoryBytes?: number;
  readonly milliCpu?: number;
}

/** What a pool needs of the world. */
export interface PoolTools extends RunTools {
  readonly machine: { readonly cpus: number; readonly memoryBytes: number };
  /** What changes when the policy does; null when it must be loaded to know. */
  readonly stampPolicy: () => string | null;
}

/** A pool of one sealed image, under the policy in force. */
export interface OpenPool {
  /**
   * A run of a container that was started ahead; or of one that was not, when it asks for what those do not have.
   * @param document code that comes with it, and what that is given: its stdin
   */
  run(request: RunRequest, output: RunOutput, signals: RunSignals, document?: Uint8Array): Promise<RunRecord>;
  call(
    request: RunRequest,
    args: Uint8Array,
    output: Omit<RunOutput, 'stdin'>,
    signals: RunSignals,
  ): Promise<CallResult>;
  filled(): Promise<void>;
  counts(): PoolCounts;
  readonly bounds: PoolBounds;
  readonly tag: string;
  close(): Promise<void>;
}

const MINUTE_MS = 60_000;
/** Waivers and keys run out without a change of any file. */
const ADMITTED_MS = MINUTE_MS;
/** What a claim fails with when what it waited for is not what is to be had any more. */
const BEGUN_ANEW: readonly ErrorCode[] = ['POOL_CLOSED', 'POOL_REFUSED'];
/** A claim that took longer is judged once more. */
const JUDGED_MS = 5;

/** What was decided about the members of a pool; they are of no use for anything else. */
interface Generation {
  readonly sealed: SealedImage;
  readonly policy: Policy;
  readonly profile: string;
  readonly plan: RunPlan;
  readonly pool: WarmPool;
  readonly images: Watched;
  /** As it was when it was last looked whether all of it may run, and when that was. */
  engine: AllowedEngine;
  admittedAt: number;
  /** What the policy's files were when it was last loaded. */
  policyStamp: string | null;
}

/**
 * Opens a pool of a sealed image; its containers are started when it is first asked for one.
 * @throws SjsError as a run that is refused; `POOL_REFUSED`, `NOT_CALLABLE`.
 */
export async function openPool(target: string, options: PoolOptions, tools: PoolTools): Promise<OpenPool> {
  const { clock } = tools;
  const limits = options.limits ?? {};
  const admit = async (sealed: SealedImage, plan: RunPlan, policy: Policy, reporter: Reporter) => {
    const [facts, { subject, waived }] = await Promise.all([
      tools.engine.probe(),
      admitSeal(sealed, policy, tools, limits),
    ]);
    return requireControls(facts, sealed, plan, policy, subject, waived, reporter);
  };
  const decide = async (from: string): Promise<Generation> => {
    const images = tools.images.watch();
    try {
      const admittedAt = clock.monotonic();
      const policyStamp = tools.stampPolicy();
      const settle = images.begin();
      const [sealed, policy, profile] = await Promise.all([
        findSealedImage(from, tools),
        tools.loadPolicy(),
        tools.seccompProfile(),
      ]);
      const plan = planMember(sealed, profile, options.preload ?? false, limits);
      const engine = await admit(sealed, plan, policy, tools.reporter);
      const pool = createWarmPool(boundsOf(options, plan, tools), {
        start: async () => {
          if (!(await holds(generation))) throw outdated(sealed.entry.tag);
          const id = tools.createId();
          const [owner, mark] = await Promise.all([tools.owner(), markMember(id, tools.store)]);
          return tools.engine.prepare(id, mark, owner, plan);
        },
        clock,
        onFailed: (error) => tools.reporter.warn(`the pool of ${sealed.entry.tag}: ${String(error)}`),
      });
      settle();
      const given = { sealed, policy, profile, plan, pool, images };
      const generation: Generation = { ...given, engine, admittedAt, policyStamp };
      return generation;
    } catch (error) {
      images.close();
      throw error;
    }
  };
  /** Whether seal and policy are still what its members were started under. Throws as a run would. */
  const holds = async (generation: Generation): Promise<boolean> => {
    const { sealed, policy, plan, images } = generation;
    const policyStamp = tools.stampPolicy();
    const isRecent = clock.monotonic() - generation.admittedAt <= ADMITTED_MS;
    const isSame = policyStamp !== null && policyStamp === generation.policyStamp;
    if ((await images.isUnchanged()) && isRecent && isSame) return true;
    const settle = images.begin();
    // The engine's id of an image says what is in it: the same id is the same seal.
    const [found, now] = await Promise.all([tools.images.inspect(sealed.entry.tag), tools.loadPolicy()]);
    if (now.digest !== policy.digest || found?.imageId !== sealed.image.imageId) return false;
    if (!isRecent) {
      const admittedAt = clock.monotonic();
      generation.engine = await admit(sealed, plan, now, silentReporter);
      generation.admittedAt = admittedAt;
    }
    generation.policyStamp = policyStamp;
    settle();
    return true;
  };
  const leave = async ({ pool, images }: Generation): Promise<void> => {
    await pool.drain();
    images.close();
  };
  let isClosed = false;
  let current = await decide(target);
  const bounds = boundsOf(options, current.plan, tools);
  let renewing: Promise<void> | null = null;
  /** What a close waits for: generations that end, runs with a container of their own. */
  const left = new Set<Promise<unknown>>();
  const awaitAtClose = (pending: Promise<unknown>): void => {
    const ended = pending.catch(() => undefined).finally(() => left.delete(ended));
    left.add(ended);
  };
  const onWritten = (durable: Promise<unknown>): void =>
    awaitAtClose(
      durable.catch((error: unknown) => tools.reporter.warn(`a record may not be on disk: ${String(error)}`)),
    );
  const renew = (): Promise<void> => {
    const renewal = async (): Promise<void> => {
      try {
        // A name may mean another seal by now.
        const next = await decide(current.sealed.entry.seal);
        awaitAtClose(leave(isClosed ? next : current));
        if (!isClosed) current = next;
      } catch (error) {
        // What may not run must not wait either.
        current.pool.rest();
        tools.reporter.warn(`the pool of ${current.sealed.entry.tag}: ${String(error)}`);
        throw error;
      }
    };
    return (renewing ??= renewal().finally(() => (renewing = null)));
  };
  /** Begins anew under what holds now, if that is not what is there. */
  const settleCurrent = async (): Promise<Generation> => {
    for (;;) {
      if (isClosed) throw poolClosed();
      const generation = current;
      if (await holds(generation)) return generation;
      if (current === generation) await renew();
    }
  };
  const claim = async (
    first: Generation,
    signals: RunSignals,
  ): Promise<{ readonly generation: Generation; readonly member: Member }> => {
    const begin = clock.monotonic();
    const deadline = begin + bounds.queueTimeoutMs;
    for (let generation = first; ; generation = await settleCurrent()) {
      const waiting = generation.pool.claim(signals.abort, Math.max(0, deadline - clock.monotonic()));
      const member = await waiting.catch(async (error: unknown) => {
        if (!(error instanceof SjsError) || !BEGUN_ANEW.includes(error.code)) throw error;
        // What its generation ended of says whether there is another.
        await settleCurrent();
        return null;
      });
      if (member === null) continue;
      const isLate = clock.monotonic() - begin > JUDGED_MS;
      const isHeld = !isLate || holds(generation);
      try {
        if (await isHeld) return { generation, member };
      } catch (error) {
        generation.pool.release(member);
        throw error;
      }
      generation.pool.release(member);
    }
  };
  const carryOut = async (
    asked: RunRequest,
    given: Uint8Array | null,
    output: RunOutput,
    signals: RunSignals,
  ): Promise<RunRecord> => {
    const first = await settleCurrent();
    // The policy has judged the pool's limits: a call may have less, as a run may of what is sealed.
    const request = { ...asked, limits: tightenResources(first.plan.resources, asked.limits) };
    const decided = ({ sealed, policy, profile, engine }: Generation): DecidedRun => ({
      sealed,
      plan: planRun(sealed, request, profile),
      request,
      policy,
      facts: Promise.resolve(engine),
      replayOf: null,
      ...(given && { arguments: given }),
    });
    const begun = decided(first);
    const isProgram = request.call === undefined;
    if (!fitsMember(begun.plan, first.plan) || (isProgram && options.preload)) {
      const running = executeRun(begun, output, signals, tools);
      awaitAtClose(running);
      return running;
    }
    const { generation, member } = await claim(first, signals);
    const own = generation === first ? begun : decided(generation);
    try {
      const engine = {
        ...tools.engine,
        run: (...[, , plan, streams, given]: Parameters<RunTools['engine']['run']>) =>
          member.run(plan, streams, given),
      };
      return await executeRun({ ...own, member: { id: member.id, onWritten } }, output, signals, {
        ...tools,
        engine,
      });
    } finally {
      generation.pool.release(member);
    }
  };
  return {
    tag: current.sealed.entry.tag,
    bounds,
    run: (request, output, signals, document) => carryOut(request, document ?? null, output, signals),
    async call(request, args, output, signals) {
      let answer = null as Answer | null;
      const streams = {
        ...output,
        stdin: null,
        onAnswer: (given: Answer) => void (answer = given),
      };
      const record = await carryOut(request, args, streams, signals);
      return { ...readOutcome(record, answer), record };
    },
    filled: async () => (await settleCurrent()).pool.filled(),
    counts: () => current.pool.counts(),
    async close() {
      isClosed = true;
      await renewing?.catch(() => undefined);
      await leave(current);
      while (left.size > 0) await Promise.all(left);
    },
  };
}

const outdated = (tag: string): SjsError =>
  new SjsError('POOL_REFUSED', `the image or the policy of ${tag} is not what it was`, {
    next: 'call it again: the pool begins anew, if it may',
  });

/**
 * Sizes as they were asked for, or what fits this machine (ATTACKS d).
 * @throws SjsError `POOL_REFUSED` for sizes that contradict each other or the ceilings.
 */
function boundsOf(options: PoolOptions, { resources }: RunPlan, { machine }: PoolTools): PoolBounds {
  const memoryBytes = options.memoryBytes ?? machine.memoryBytes / 2;
  const byMemory = Math.floor(memoryBytes / resources.memoryBytes);
  const byCpu = options.milliCpu === undefined ? Infinity : Math.floor(options.milliCpu / resources.milliCpu);
  const ceiling = Math.min(byMemory, byCpu);
  const wanted = options.size ?? Math.max(1, Math.min(4, Math.floor(machine.cpus / 2)));
  const size = options.size ?? Math.min(wanted, ceiling, options.max ?? Infinity);
  const max = Math.min(options.max ?? Math.max(32, size), ceiling);
  const problem = [size, options.max ?? 1].some((count) => !Number.isSafeInteger(count) || count < 1)
    ? 'a pool has at least one container'
    : size > max && size > ceiling
      ? `${size} containers of ${formatBytes(resources.memoryBytes)} and ${formatCpu(resources.milliCpu)} CPU are more than its ceilings allow: ${ceiling}`
      : size > max
        ? `it cannot keep ${size} containers ready and have at most ${max}`
        : null;
  if (problem !== null) {
    throw new SjsError('POOL_REFUSED', problem, {
      next:
        (options.size ?? options.max ?? 1) < 1
          ? 'ask for one at least'
          : 'ask for a smaller pool, raise its ceilings (--memory-ceiling, --cpu-ceiling; memoryBytes, milliCpu in the library), or lower the limits of the sandbox',
    });
  }
  return {
    size,
    max,
    idleTimeoutMs: options.idleTimeoutMs ?? 5 * MINUTE_MS,
    maxAgeMs: options.maxAgeMs ?? 10 * MINUTE_MS,
    queueTimeoutMs: options.queueTimeoutMs ?? 5_000,
  };
}
