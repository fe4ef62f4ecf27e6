import { SjsError } from '../errors.js';
import type { Answer } from '../model/call.js';
import type { Policy } from '../model/policy.js';
import { formatBytes, formatCpu } from '../model/quantity.js';
import type { RunRecord } from '../model/record.js';
import type { RunPlan, RunRequest } from '../model/run-plan.js';
import type { Resources } from '../model/sandbox.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Member, RunSignals } from '../ports/engine.js';
import type { Watched } from '../ports/watched.js';
import { readOutcome } from '../stages/call/read-outcome.js';
import { fitsMember, planMember, planRun } from '../stages/plan/plan-run.js';
import type { CallResult } from './call-function.js';
import { executeRun, type AllowedEngine, type DecidedRun, type RunOutput } from './execute-run.js';
import { findSealedImage } from './find-target.js';
import { requireControls, type RunTools } from './run-sandbox.js';
import { admitSeal } from './trust-seal.js';
import { createWarmPool, type PoolBounds, type PoolCounts, type WarmPool } from './warm-pool.js';

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
/** A claim that took longer is judged anew. */
const JUDGED_MS = 250;

/** What was decided about the members of a pool; they are of no use for anything else. */
interface Generation {
  readonly sealed: SealedImage;
  readonly policy: Policy;
  readonly profile: string;
  readonly plan: RunPlan;
  readonly engine: AllowedEngine;
  readonly pool: WarmPool;
  readonly images: Watched;
  /** What the policy's files were when it was last loaded. */
  policyStamp: string | null;
  /** When it was last looked whether all of it may run. */
  admittedAt: number;
}

/**
 * Opens a pool of a sealed image; its containers are started when it is first asked for one.
 * @throws SjsError as a run that is refused; `POOL_REFUSED`, `NOT_CALLABLE`.
 */
export async function openPool(target: string, options: PoolOptions, tools: PoolTools): Promise<OpenPool> {
  const { clock } = tools;
  const decideWatching = async (images: Watched): Promise<Generation> => {
    const admittedAt = clock.monotonic();
    const policyStamp = tools.stampPolicy();
    images.begin();
    const [sealed, policy, facts, profile] = await Promise.all([
      findSealedImage(target, tools),
      tools.loadPolicy(),
      tools.engine.probe(),
      tools.seccompProfile(),
    ]);
    const { subject, waived } = await admitSeal(sealed, policy, tools, options.limits ?? {});
    const plan = planMember(sealed, profile, options.preload ?? false, options.limits ?? {});
    const engine = requireControls(facts, sealed, plan, policy, subject, waived, tools.reporter);
    const pool = createWarmPool(boundsOf(options, plan, tools), {
      start: async () => tools.engine.prepare(tools.createId(), await tools.owner(), plan),
      clock,
      onFailed: (error) => tools.reporter.warn(`the pool of ${sealed.entry.tag}: ${String(error)}`),
    });
    return { sealed, policy, profile, plan, engine, pool, images, policyStamp, admittedAt };
  };
  const decide = async (): Promise<Generation> => {
    const images = tools.images.watch();
    try {
      return await decideWatching(images);
    } catch (error) {
      images.close();
      throw error;
    }
  };
  const leave = async ({ pool, images }: Generation): Promise<void> => {
    await pool.drain();
    images.close();
  };
  let current = await decide();
  const bounds = boundsOf(options, current.plan, tools);
  let renewing: Promise<void> | null = null;
  const left = new Set<Promise<void>>();
  /** What a power cut could still undo. */
  const unwritten = new Set<Promise<void>>();
  const onWritten = (durable: Promise<unknown>): void => {
    const written = durable
      .then(() => undefined)
      .catch((error: unknown) => tools.reporter.warn(`a record may not be on disk: ${String(error)}`))
      .finally(() => unwritten.delete(written));
    unwritten.add(written);
  };
  const renew = (): Promise<void> => {
    const renewal = async (): Promise<void> => {
      const next = await decide();
      const leaving = leave(current);
      left.add(leaving);
      void leaving.then(() => left.delete(leaving));
      current = next;
    };
    return (renewing ??= renewal().finally(() => (renewing = null)));
  };
  /** Whether seal and policy are still what its members were started under. Throws as a run would. */
  const holds = async (generation: Generation): Promise<boolean> => {
    const { sealed, policy, images } = generation;
    const policyStamp = tools.stampPolicy();
    const isRecent = clock.monotonic() - generation.admittedAt <= ADMITTED_MS;
    if (isRecent && images.isUnchanged && policyStamp !== null && policyStamp === generation.policyStamp)
      return true;
    images.begin();
    // The engine's id of an image says what is in it: the same id is the same seal.
    const [found, now] = await Promise.all([tools.images.inspect(sealed.entry.tag), tools.loadPolicy()]);
    if (now.digest !== policy.digest || found?.imageId !== sealed.image.imageId) return false;
    if (!isRecent) {
      const admittedAt = clock.monotonic();
      await admitSeal(sealed, now, tools, options.limits ?? {});
      generation.admittedAt = admittedAt;
    }
    generation.policyStamp = policyStamp;
    return true;
  };
  const claim = async (
    signals: RunSignals,
  ): Promise<{ readonly generation: Generation; readonly member: Member }> => {
    for (;;) {
      const generation = current;
      const begin = clock.monotonic();
      const judging = holds(generation);
      judging.catch(() => undefined);
      const member = await generation.pool.claim(signals.abort);
      try {
        const isLate = clock.monotonic() - begin > JUDGED_MS;
        if (await (isLate ? holds(generation) : judging)) return { generation, member };
      } catch (error) {
        generation.pool.release(member);
        throw error;
      }
      generation.pool.release(member);
      if (current === generation) await renew();
    }
  };
  const carryOut = async (
    asked: RunRequest,
    given: Uint8Array | null,
    output: RunOutput,
    signals: RunSignals,
  ): Promise<RunRecord> => {
    const request = { ...asked, limits: { ...options.limits, ...asked.limits } };
    const decided = ({ sealed, policy, profile, engine }: Generation): DecidedRun => ({
      sealed,
      plan: planRun(sealed, request, profile),
      request,
      policy,
      facts: Promise.resolve(engine),
      replayOf: null,
      ...(given && { arguments: given }),
    });
    const isProgram = request.call === undefined;
    const [first, begun] = [current, decided(current)];
    if (!fitsMember(begun.plan, first.plan) || (isProgram && options.preload)) {
      if (!(await holds(first))) await renew();
      return executeRun(current === first ? begun : decided(current), output, signals, tools);
    }
    const { generation, member } = await claim(signals);
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
    filled: () => current.pool.filled(),
    counts: () => current.pool.counts(),
    async close() {
      await Promise.all([leave(current), ...left]);
      await Promise.all(unwritten);
    },
  };
}

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
      next: 'ask for a smaller pool, raise its ceilings, or lower the limits of the sandbox',
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
