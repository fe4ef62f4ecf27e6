import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { SjsError, type ErrorCode } from '../../errors.js';
import type { RunPlan } from '../../model/run-plan.js';
import { systemClock } from '../../ports/clock.js';
import type { Owner, RunOutcome, RunSignals, RunStreams } from '../../ports/engine.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { startCollector, type Collector } from './collector.js';
import { sandboxOptions } from './container-options.js';
import { createNamedContainer, createOutVolume } from './create-container.js';
import { watchEnding, type Ending } from './ending.js';
import { abortedError } from './engine-error.js';
import { startGateway, type Gateway } from './gateway.js';
import { hasKillEvent } from './kill-events.js';
import { createRunNetwork, type RunNetwork } from './network.js';
import { proveIsolation, type Proofs } from './network-probe.js';
import { decideEnd, engineDuration, isUnexplainedKill, toOutcome } from './outcome.js';
import { gatewayName, networkName, outName, sandboxName } from './owner-labels.js';
import { pumpInput, pumpOutput, type OutputPump } from './pump.js';
import { startReaper, type Reaper } from './reaper.js';
import { removeContainer, removeNetwork, removeVolume } from './remove.js';
import { encodeSecretsFrame } from './secrets-frame.js';
import { watchUsage } from './usage.js';
import { inspectPatiently, waitUntilStopped } from './wait.js';

/** Programs of sjs that a run needs beside the engine. */
export interface EngineAssets {
  /** dist/reaper.cjs */
  readonly reaperFile: string;
  /** dist/guest/collector.cjs */
  readonly collectorFile: string;
  /** The Node that runs the reaper; default: this process's. */
  readonly nodePath?: string;
}

/** Those, and what is known of the engine. */
interface EngineTools extends EngineAssets {
  readonly identify: () => Promise<{ readonly id: string; readonly version: string }>;
  readonly proofs: Proofs;
}

/** One run, from nothing to nothing. */
interface Run {
  readonly client: DockerClient;
  readonly runId: string;
  readonly owner: Owner;
  readonly plan: RunPlan;
  readonly streams: RunStreams;
  readonly abort: AbortSignal | undefined;
}

const UNANSWERED = new Set<ErrorCode>(['ENGINE_TIMEOUT', 'ENGINE_UNREACHABLE', 'ABORTED']);

/** How long the engine may take to close the output of a container that has ended. */
const DRAIN_MS = 10_000;
/** How long an engine that ends all of its containers takes from one to the next. */
const TOGETHER_MS = 1_000;

/**
 * Carries a plan out: reaper, network and gateway, volume and collector where they are declared, container, streams,
 * end, removal. See the port for what it throws.
 */
export async function runContainer(
  client: DockerClient,
  assets: EngineTools,
  runId: string,
  owner: Owner,
  plan: RunPlan,
  streams: RunStreams,
  signals: RunSignals,
): Promise<RunOutcome> {
  if (signals.abort?.aborted) throw abortedError('run the program');
  const run: Run = { client, runId, owner, plan, streams, abort: signals.abort };
  const name = sandboxName(runId);
  const ending = watchEnding(client, name, signals, streams.onEnding);
  const collecting = prepareCollector(run, assets);
  const networking = prepareNetwork(run, assets);
  // A volume that is not there yet would be made by the engine, on disk and without limits.
  const creating = Promise.all([networking.network, collecting.volume]).then(([network]) =>
    createNamedContainer(client, name, sandboxOptions(runId, owner, plan, network), run.abort),
  );
  const helpers = [collecting.started, networking.gateway] as const;
  for (const pending of [creating, ...helpers]) pending.catch(() => undefined);
  let reaper: Reaper | null = null;
  let isKnown = true;
  try {
    // The requests are on their way, and the engine is at work while the reaper starts. Nothing runs before it does.
    await nextTurn();
    reaper = startReaper(runId, hasNetwork(plan), plan.resources.timeoutMs, client.endpoint, {
      nodePath: assets.nodePath ?? process.execPath,
      reaperFile: assets.reaperFile,
    });
    await creating;
    const outcome = await connect(run, ending, Promise.all(helpers));
    await streams.onEnded(outcome);
    return outcome;
  } catch (error) {
    // The engine may still carry out a call whose answer never came.
    isKnown = !(error instanceof SjsError && UNANSWERED.has(error.code));
    throw error;
  } finally {
    ending.close();
    streams.stdin?.destroy();
    // Or they would appear after the removal.
    const [, , gateway] = await Promise.allSettled([creating, ...helpers]);
    if (gateway.status === 'fulfilled') gateway.value?.close();
    const isGone = await removeRun(client, runId, plan);
    if (isKnown && isGone) reaper?.dismiss();
    else reaper?.remove();
  }
}

/** Attaches to the container that was created, and sees the run through. */
async function connect(
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
    const head = plan.expectsSecrets ? encodeSecretsFrame(plan.secrets) : null;
    const input = pumpInput(socket, head, streams);
    for (const pending of [output.done, input]) pending.catch(() => undefined);
    return await follow(run, ending, socket, output, input, ...helpers);
  } finally {
    socket.destroy();
  }
}

/** Starts the container and stays with it to its end. */
async function follow(
  run: Run,
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
  await streams.beforeStart();
  await client.call(
    'start the container',
    SLOW_CALL_MS,
    (abortSignal) => client.docker.getContainer(name).start({ abortSignal }),
    abort,
  );
  const begin = systemClock.monotonic();
  ending.begin(plan.resources.timeoutMs);
  streams.onStarted();
  const usage = watchUsage(client, name);
  const onAbort = (): void => ending.kill('interrupted');
  abort?.addEventListener('abort', onAbort, { once: true });
  if (abort?.aborted) onAbort();
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
    const stopped = waitUntilStopped(client, name, ending.failed);
    if (gateway) faults.push(gateway.lost.catch((error: unknown) => unlessEnded(client, name, error)));
    const { sawRestart } = await Promise.race([stopped, ...faults]);
    const hasGap = (): boolean => sawRestart || isBroken;
    const durationMs = Math.max(0, Math.round(systemClock.monotonic() - begin));
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
    const isOverdue = wasKilled && engineDuration(state) >= plan.resources.timeoutMs;
    const killedByOthers = wasKilled || (isUnexplained && sawRestart);
    const end = isOverdue ? 'timed-out' : decideEnd(state, own, killedByOthers);
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
      ...toOutcome(state, end, measured),
      ...(end === 'interrupted' && { interruptedBy }),
      ...(omittedConnections !== undefined && { omittedConnections }),
    };
  } finally {
    usage.stop();
    abort?.removeEventListener('abort', onAbort);
  }
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

function prepareCollector(
  { client, runId, owner, plan, abort }: Run,
  { collectorFile }: EngineAssets,
): { readonly volume: Promise<void>; readonly started: Promise<Collector | null> } {
  if (plan.filesystem.outBytes === null) {
    return { volume: Promise.resolve(), started: Promise.resolve(null) };
  }
  const volume = createOutVolume(client, runId, owner, plan);
  const started = Promise.all([readFile(collectorFile, 'utf8'), volume]).then(([script]) =>
    startCollector(client, runId, owner, plan, script, abort),
  );
  return { volume, started };
}

const hasNetwork = ({ network }: RunPlan): boolean => network.mode !== 'none';

function prepareNetwork(
  { client, runId, owner, plan, streams, abort }: Run,
  { identify, proofs }: EngineTools,
): { readonly network: Promise<RunNetwork | null>; readonly gateway: Promise<Gateway | null> } {
  const make = async (): Promise<RunNetwork | null> => {
    if (!hasNetwork(plan)) return null;
    const engine = await identify();
    await proveIsolation(client, runId, owner, plan, engine, proofs, abort);
    return createRunNetwork(client, runId, owner, engine.version, abort);
  };
  const network = make();
  const gateway = network.then((made) =>
    made && plan.gateway
      ? startGateway(client, runId, owner, plan, plan.gateway, made, streams.onConnection, abort)
      : null,
  );
  return { network, gateway };
}

/** Removes all of a run; false when the engine did not let it. */
async function removeRun(client: DockerClient, runId: string, plan: RunPlan): Promise<boolean> {
  const hasOut = plan.filesystem.outBytes !== null;
  try {
    await Promise.all([
      removeContainer(client, sandboxName(runId)),
      ...(hasOut ? [removeContainer(client, outName(runId))] : []),
      ...(plan.gateway ? [removeContainer(client, gatewayName(runId))] : []),
    ]);
    await Promise.all([
      ...(hasOut ? [removeVolume(client, outName(runId))] : []),
      ...(hasNetwork(plan) ? [removeNetwork(client, networkName(runId))] : []),
    ]);
    return true;
  } catch {
    return false;
  }
}
