import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../../errors.js';
import type { AbandonedRun, RecoverLimits, RunOutcome, RunStreams } from '../../ports/engine.js';
import { CALL_MS, type DockerClient } from './client.js';
import { abortedError, statusOf } from './engine-error.js';
import { readGatewayLog } from './gateway-log.js';
import { findRemains, type RunRemains } from './find-runs.js';
import { hasKillEvent } from './kill-events.js';
import {
  decideEnd,
  engineDuration,
  isUnexplainedKill,
  toOutcome,
  toTime,
  type ContainerState,
} from './outcome.js';
import { gatewayName, sandboxName } from './owner-labels.js';
import { pumpOutput } from './pump.js';
import { readLog } from './read-log.js';
import { removeContainer, removeNetwork, removeVolume } from './remove.js';
import { inspectState } from './wait.js';

const POLL_MS = 200;
/** How long the log of an ended program may take. */
const LOG_MS = 30_000;
const NOT_OURS = { reason: null, didReach: false } as const;

/**
 * Finishes a run whose sjs is gone; see the port. Removes what it left even when its output cannot be read. Another
 * sjs may do the same at the same time: what is gone already is no error.
 */
export async function recoverRun(
  client: DockerClient,
  run: AbandonedRun,
  limits: RecoverLimits,
  streams: Pick<RunStreams, 'onStdout' | 'onStderr' | 'markBytes' | 'onConnection' | 'onEnded'>,
  signal?: AbortSignal,
): Promise<RunOutcome | null> {
  const remains = (await findRemains(client, run.owner.home, signal)).find((one) => isSame(one, run));
  if (!remains) return null;
  const ended = remains.hasSandbox ? await finish(client, run, limits, streams, signal) : null;
  const network = remains.hasGateway
    ? { omittedConnections: await readGatewayLog(client, run.runId, streams.onConnection, signal) }
    : {};
  const outcome = ended && { ...ended, ...network };
  if (outcome) await streams.onEnded(outcome);
  await Promise.all([
    ...(remains.hasSandbox ? [removeContainer(client, sandboxName(run.runId))] : []),
    ...(remains.hasGateway ? [removeContainer(client, gatewayName(run.runId))] : []),
    ...remains.others.map((id) => removeContainer(client, id)),
  ]);
  await Promise.all([
    ...remains.volumes.map((name) => removeVolume(client, name)),
    ...remains.networks.map((name) => removeNetwork(client, name)),
  ]);
  return outcome;
}

function isSame(one: RunRemains, other: AbandonedRun): boolean {
  const { owner } = one;
  return (
    one.runId === other.runId &&
    owner.bootId === other.owner.bootId &&
    owner.pid === other.owner.pid &&
    owner.startTime === other.owner.startTime
  );
}

async function finish(
  client: DockerClient,
  run: AbandonedRun,
  limits: RecoverLimits,
  streams: Pick<RunStreams, 'onStdout' | 'onStderr' | 'markBytes'>,
  signal?: AbortSignal,
): Promise<RunOutcome | null> {
  const name = sandboxName(run.runId);
  const ended = await waitOrKill(client, name, limits, signal);
  if (ended === null) return null;
  const { didKill } = ended;
  const state = { ...ended.state, ...(limits.since !== undefined && { StartedAt: limits.since }) };
  const durationMs = engineDuration(state);
  // Killed by the reaper, or here: nobody else kills at the limit.
  const isOverdue = isUnexplainedKill(state, NOT_OURS) && (didKill || durationMs >= limits.timeoutMs);
  const log = readLog(client, name, LOG_MS, signal);
  const output = pumpOutput(log.bytes(), limits.outputBytes, streams, () => undefined);
  const isBroken = await output.done.then(
    () => false,
    (error: unknown) => {
      if (error instanceof SjsError && error.code === 'ENGINE_FAILED') return true;
      throw error;
    },
  );
  const isCut = output.truncated.stdout || output.truncated.stderr;
  // What cannot be read is lost, and the record says so; it must not keep the container for ever.
  const truncated = isBroken || log.failed() ? { stdout: true, stderr: true } : output.truncated;
  const own = isOverdue ? { reason: 'timed-out' as const, didReach: true } : NOT_OURS;
  const killedByOthers = isUnexplainedKill(state, own) && (await hasKillEvent(client, name, state));
  const end = isCut ? 'output-limit' : decideEnd(state, own, killedByOthers);
  return toOutcome(state, end, { durationMs, truncated, usage: null });
}

/** The state after the end, which is forced at the deadline; null for a container that never ran or is gone. */
async function waitOrKill(
  client: DockerClient,
  name: string,
  { timeoutMs, since }: RecoverLimits,
  signal?: AbortSignal,
): Promise<{ readonly state: ContainerState; readonly didKill: boolean } | null> {
  let didKill = false;
  for (;;) {
    if (signal?.aborted) throw abortedError('finish an abandoned run');
    try {
      const state = await inspectState(client, name);
      if (!state.Running) return toTime(state.StartedAt) === null ? null : { state, didKill };
      // Both times are of this host's clock for a local engine; a remote one that is off is corrected by its reaper.
      const left = Date.parse(since ?? state.StartedAt) + timeoutMs - Date.now();
      if (left <= 0) didKill = (await kill(client, name)) || didKill;
      await delay(Math.max(20, Math.min(left, POLL_MS)));
    } catch (error) {
      if (error instanceof SjsError && error.code === 'CONTAINER_LOST') return null;
      throw error;
    }
  }
}

async function kill({ docker, call }: DockerClient, name: string): Promise<boolean> {
  try {
    await call('send SIGKILL', CALL_MS, (abortSignal) =>
      docker.getContainer(name).kill({ signal: 'SIGKILL', abortSignal }),
    );
    return true;
  } catch (error) {
    if ([404, 409].includes(statusOf(error) ?? 0)) return false;
    throw error;
  }
}
