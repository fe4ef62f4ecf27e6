import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../../errors.js';
import { systemClock } from '../../ports/clock.js';
import type { RunOutcome } from '../../ports/engine.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import type { Collector } from './collector.js';
import type { Ending } from './ending.js';
import type { Gateway } from './gateway.js';
import { hasKillEvent } from './kill-events.js';
import { decideEnd, engineDuration, isUnexplainedKill, toOutcome } from './outcome.js';
import { sandboxName } from './owner-labels.js';
import { pumpInput, pumpOutput, type OutputPump } from './pump.js';
import type { Run } from './run-container.js';
import { encodeSecretsFrame } from './secrets-frame.js';
import { watchUsage } from './usage.js';
import { inspectPatiently, waitUntilStopped } from './wait.js';

/** How long the engine may take to close the output of a container that has ended. */
const DRAIN_MS = 10_000;
/** When it is asked for the end of a container that was started ahead, unless its output ends before. */
const ASKED_AFTER_MS = 50;
/** How long an engine that ends all of its containers takes from one to the next. */
const TOGETHER_MS = 1_000;

/** Attaches to the container that was created, and sees the run through. */
export async function followContainer(
  run: Run,
  ending: Ending,
  starting: Promise<readonly [Collector | null, Gateway | null]>,
): Promise<RunOutcome> {
  const { client, runId, plan, streams, abort } = run;
  const name = sandboxName(runId);
  // It may fail before anybody waits for it.
  starting.catch(() => undefined);
  const socket = await client.call('attach', CALL_MS, (signal) => attach(client, name, signal), abort);
  socket.on('error', () => undefined);
  try {
    const helpers = await starting;
    const output = pumpOutput(socket, plan.resources.outputBytes, streams, () => ending.kill('output-limit'));
    const input = pumpInput(socket, headOf(run), streams);
    for (const pending of [output.done, input]) pending.catch(() => undefined);
    return await follow(run, ending, socket, output, input, ...helpers);
  } finally {
    socket.destroy();
  }
}

/** The output and input of a run whose container has started already; nothing of the run is in it before. */
export async function followStarted(run: Run, ending: Ending, socket: Duplex): Promise<RunOutcome> {
  const { plan, streams } = run;
  try {
    await streams.beforeStart();
    const output = pumpOutput(socket, plan.resources.outputBytes, streams, () => ending.kill('output-limit'));
    const input = pumpInput(socket, headOf(run), streams);
    for (const pending of [output.done, input]) pending.catch(() => undefined);
    return await follow({ ...run, isStarted: true }, ending, socket, output, input, null, null);
  } finally {
    socket.destroy();
  }
}

const headOf = ({ plan, streams }: Run): Uint8Array =>
  Buffer.concat([
    ...(plan.expectsSecrets ? [encodeSecretsFrame(plan.secrets)] : []),
    ...(streams.head ? [streams.head] : []),
  ]);

/** Starts the container, if nobody has, and stays with it to its end. */
async function follow(
  run: Run & { readonly isStarted?: true },
  ending: Ending,
  socket: Duplex,
  output: OutputPump,
  input: Promise<void>,
  collector: Collector | null,
  gateway: Gateway | null,
): Promise<RunOutcome> {
  const { client, runId, plan, streams, abort } = run;
  const name = sandboxName(runId);
  if (gateway) streams.onPorts(gateway.ports);
  if (!run.isStarted) {
    await streams.beforeStart();
    await client.call(
      'start the container',
      SLOW_CALL_MS,
      (abortSignal) => client.docker.getContainer(name).start({ abortSignal }),
      abort,
    );
  }
  const startedAt = new Date(systemClock.now()).toISOString();
  const begin = systemClock.monotonic();
  ending.begin(plan.resources.timeoutMs);
  streams.onStarted();
  const usage = watchUsage(client, name);
  const onAbort = (): void => ending.kill('interrupted');
  abort?.addEventListener('abort', onAbort, { once: true });
  if (abort?.aborted) onAbort();
  void streams.answered?.then(() => ending.answered());
  // A connection that breaks says nothing about the program. The engine does when it is asked: it may be restarting.
  let isBroken = false;
  const delivered = output.done.catch((error: unknown) => {
    if (error instanceof SjsError || error !== socket.errored) throw error;
    isBroken = true;
  });
  delivered.catch(() => undefined);
  try {
    const never = new Promise<never>(() => undefined);
    // A receiver or an input that fails ends the run; that they are done does not.
    const faults = [delivered, input].map((pending) => pending.then(() => never));
    // Most calls of a container that was started ahead have answered before it is worth asking for its end.
    const isOver = run.isStarted && Promise.race([delivered, delay(ASKED_AFTER_MS)]);
    let isAnswered = false;
    const stopped = isOver
      ? isOver.then(() => (isAnswered ? never : waitUntilStopped(client, name, ending.failed)))
      : waitUntilStopped(client, name, ending.failed);
    if (gateway) faults.push(gateway.lost.catch((error: unknown) => unlessEnded(client, name, error)));
    // One that was started ahead is not waited for when it has answered: whatever it still does, it is removed.
    // What it says when it is told to end, or is at its limit, does not make it one that ended by itself.
    const answered =
      run.isStarted && streams.answered?.then(() => (ending.reason === 'answered' ? null : never));
    const end = await Promise.race([stopped, ...faults, ...(answered ? [answered] : [])]);
    const durationMs = Math.max(0, Math.round(systemClock.monotonic() - begin));
    if (end === null) {
      isAnswered = true;
      stopped.catch(() => undefined);
      return answeredAt(startedAt, durationMs, output);
    }
    const { sawRestart } = end;
    const hasGap = (): boolean => sawRestart || isBroken;
    streams.onEnding();
    const [state, omittedConnections] = await Promise.all([
      inspectPatiently(client, name),
      gateway?.end(),
      drain(socket, output, delivered),
    ]);
    const sample = usage.stop();
    const own = { reason: ending.reason, didReach: await ending.didReach() };
    const isUnexplained = isUnexplainedKill(state, own);
    const wasKilled = isUnexplained && (await hasKillEvent(client, name, state));
    // The reaper kills at the limit when this process was stopped, and nobody else does just then.
    const ran = run.isStarted ? { ...state, StartedAt: startedAt } : state;
    const isOverdue = wasKilled && engineDuration(ran) >= plan.resources.timeoutMs;
    const killedByOthers = wasKilled || (isUnexplained && sawRestart);
    const reason = isOverdue ? 'timed-out' : decideEnd(state, own, killedByOthers);
    // What the program did is known; what it left in /out must not decide whether that is recorded.
    if (collector && !abort?.aborted) {
      await collector
        .collect(streams)
        .catch((error: unknown) =>
          streams.onSkippedArtifact('.', `could not be collected: ${String(error)}`),
        );
    }
    const { interruptedBy } = ending;
    const measured = {
      durationMs,
      truncated: hasGap() ? { stdout: true, stderr: true } : output.truncated,
      usage: sample,
    };
    return {
      ...toOutcome(state, reason, measured),
      ...(run.isStarted && { startedAt }),
      ...(reason === 'interrupted' && { interruptedBy }),
      ...(omittedConnections !== undefined && { omittedConnections }),
    };
  } finally {
    usage.stop();
    abort?.removeEventListener('abort', onAbort);
  }
}

/** The outcome of a program that was not waited for. */
function answeredAt(startedAt: string, durationMs: number, { truncated }: OutputPump): RunOutcome {
  const finishedAt = new Date(systemClock.now()).toISOString();
  const nothing = { exitCode: null, oomKilled: false, usage: null };
  return { end: 'answered', ...nothing, startedAt, finishedAt, durationMs, truncated };
}

/**
 * Throws the loss of a gateway, unless the sandbox has ended as well: an engine that stops or restarts ends both, and
 * then the end of the sandbox says how the run ended.
 */
async function unlessEnded(client: DockerClient, name: string, loss: unknown): Promise<never> {
  await delay(TOGETHER_MS);
  if ((await inspectPatiently(client, name)).Running) throw loss;
  return new Promise<never>(() => undefined);
}

/** Waits until everything that was written before the end is delivered. */
async function drain(socket: Duplex, output: OutputPump, delivered: Promise<void>): Promise<void> {
  const timer = setInterval(() => {
    if (output.isDelivering()) return;
    socket.destroy(
      new SjsError('ENGINE_TIMEOUT', 'the engine did not close the output of an ended container'),
    );
  }, DRAIN_MS);
  try {
    await delivered;
  } finally {
    clearInterval(timer);
  }
}
