import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RunPlan } from '../../model/run-plan.js';
import type { Owner, RunOutcome, RunSignals, RunStreams } from '../../ports/engine.js';
import type { Memory } from '../../ports/memory.js';
import type { DockerClient } from './client.js';
import { startCollector, type Collector } from './collector.js';
import { sandboxOptions } from './container-options.js';
import { createNamedContainer, createOutVolume } from './create-container.js';
import { watchEnding } from './ending.js';
import { abortedError, isUnanswered } from './engine-error.js';
import { followContainer } from './follow-container.js';
import { startGateway, type Gateway } from './gateway.js';
import { proveIsolation } from './network-probe.js';
import { createRunNetwork, type RunNetwork } from './network.js';
import { gatewayName, networkName, outName, sandboxName } from './owner-labels.js';
import { startReaper, type Reaper } from './reaper.js';
import { removeContainer, removeNetwork, removeVolume } from './remove.js';

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
  readonly proofs: Memory;
}

/** One run, from nothing to nothing. */
export interface Run {
  readonly client: DockerClient;
  readonly runId: string;
  readonly owner: Owner;
  readonly plan: RunPlan;
  readonly streams: RunStreams;
  readonly abort: AbortSignal | undefined;
}

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
    const outcome = await followContainer(run, ending, Promise.all(helpers));
    await streams.onEnded(outcome);
    return outcome;
  } catch (error) {
    isKnown = !isUnanswered(error);
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
