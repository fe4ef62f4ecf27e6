import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../errors.js';
import { containerIdOf, isFinished, type Owner, type RunRecord } from '../model/record.js';
import type { Clock } from '../ports/clock.js';
import type { Engine } from '../ports/engine.js';
import type { RecordStore, SignalRequest } from '../ports/record-store.js';

/** What it takes to look after a run that another process may own. */
export interface ManageTools {
  readonly engine: () => Promise<Engine>;
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly isOwnerAlive: (owner: Owner) => Promise<boolean>;
  /** It lives, and does nothing until somebody lets it go on. */
  readonly isOwnerStopped: (owner: Owner) => Promise<boolean>;
  /** Finishes what dead processes left, waiting so long for programs that still run; never fails. */
  readonly recover: (patienceMs?: number) => Promise<void>;
}

/** How soon the end of a run is seen. */
export const POLL_MS = 100;
/** How often it is looked whether the owner of a run still lives. */
const OWNER_EVERY_MS = 1000;
/** How long an owner may take to do what it is asked for, beyond the program's grace. */
const PATIENCE_MS = 15_000;
/** The grace of `sjs stop`, as docker's. */
export const STOP_GRACE_MS = 10_000;

/**
 * Waits for the end of a run, whoever owns it; one whose sjs dies meanwhile is recovered. Null when the time is over
 * first, or when the owner dies or is stopped and that is to be told.
 */
export async function waitForEnd(
  id: string,
  tools: ManageTools,
  options: {
    readonly withinMs?: number;
    readonly whileOwned?: true;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<RunRecord | null> {
  const { store, clock } = tools;
  const begin = clock.monotonic();
  let lookedAt = -Infinity;
  for (;;) {
    const record = await store.findRecord(id);
    if (isFinished(record)) return record;
    const now = clock.monotonic();
    if (options.withinMs !== undefined && now - begin >= options.withinMs) return null;
    if (now - lookedAt >= OWNER_EVERY_MS) {
      lookedAt = now;
      if (options.whileOwned && (await tools.isOwnerStopped(record.owner))) return null;
      if (!(await tools.isOwnerAlive(record.owner))) {
        if (options.whileOwned) return null;
        await tools.recover();
      }
    }
    await delay(POLL_MS, undefined, { signal: options.signal }).catch(() => {
      throw new SjsError('ABORTED', `stopped while run ${id} goes on`);
    });
  }
}

/**
 * Ends a run: its owner passes SIGTERM on, kills after the grace, and records it as interrupted. A run that is over
 * stays as it is.
 */
export async function stopRun(id: string, graceMs: number, tools: ManageTools): Promise<RunRecord> {
  const record = await tools.store.findRecord(id);
  if (isFinished(record)) return record;
  return end(record, { signal: 'SIGTERM', graceMs }, tools);
}

/**
 * Kills a run at once, or passes another signal on.
 * @throws SjsError `RUN_ENDED` for a run that is over.
 */
export async function killRun(id: string, signal: NodeJS.Signals, tools: ManageTools): Promise<RunRecord> {
  const record = await tools.store.findRecord(id);
  if (isFinished(record)) {
    throw new SjsError('RUN_ENDED', `run ${record.id} is over: it ${describeState(record)}`, {
      next: 'sjs ps lists the runs that go on',
    });
  }
  if (signal === 'SIGUSR1' || signal === 'SIGUSR2') return pass(record, signal, tools);
  return end(record, { signal }, tools);
}

const describeState = ({ state }: RunRecord): string =>
  ['succeeded', 'failed', 'timed-out'].includes(state) ? state.replace('-', ' ') : `ended as ${state}`;

/** Asks the owner, and does itself what a dead owner or one that does not act leaves to do. */
async function end(record: RunRecord, request: SignalRequest, tools: ManageTools): Promise<RunRecord> {
  const { id, owner } = record;
  const { store } = tools;
  await store.sendSignal(id, request);
  const withinMs = (request.graceMs ?? 0) + PATIENCE_MS;
  if (await tools.isOwnerAlive(owner)) {
    const ended = await waitForEnd(id, tools, { withinMs, whileOwned: true });
    if (ended) return ended;
  }
  const isOwned = await tools.isOwnerAlive(owner);
  const didMeet = await endByEngine(containerIdOf(record), request, tools);
  // Of a program that had ended by itself nothing else is to be said.
  if (!didMeet && !isOwned) await store.takeSignals(id);
  // One that is stopped is not waited for: it would be for nothing.
  const patienceMs = (await tools.isOwnerStopped(owner)) ? 0 : PATIENCE_MS;
  const ended = await waitForEnd(id, tools, { withinMs: patienceMs });
  if (ended) return ended;
  throw new SjsError(
    'RUN_UNFINISHED',
    `the program of run ${id} is dead, but the sjs that runs it does not act`,
    {
      next: `process ${owner.pid} may be stopped: kill -CONT ${owner.pid}, or kill it`,
    },
  );
}

/** Whether the signal, or the kill after the grace, met the program. */
async function endByEngine(
  id: string,
  { signal, graceMs = 0 }: SignalRequest,
  tools: ManageTools,
): Promise<boolean> {
  const engine = await tools.engine();
  if (signal === 'SIGKILL' || graceMs === 0) return engine.signal(id, 'SIGKILL');
  const didMeet = await engine.signal(id, signal);
  // Sees the end of a program whose owner is dead; one whose owner does not act has no more grace.
  await tools.recover(graceMs);
  return (await engine.signal(id, 'SIGKILL')) || didMeet;
}

/** Passes a signal on that does not ask for the end. */
async function pass(record: RunRecord, signal: NodeJS.Signals, tools: ManageTools): Promise<RunRecord> {
  if (await tools.isOwnerAlive(record.owner)) await tools.store.sendSignal(record.id, { signal });
  else await (await tools.engine()).signal(containerIdOf(record), signal);
  return record;
}
