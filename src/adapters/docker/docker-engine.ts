import { fieldsOf } from '../../model/fields.js';
import type { Engine } from '../../ports/engine.js';
import type { Memory } from '../../ports/memory.js';
import { CALL_MS, type DockerClient } from './client.js';
import { findRemains } from './find-runs.js';
import { hostAddresses } from './host-addresses.js';
import { readFacts } from './probe.js';
import { isProven } from './network-probe.js';
import { recoverRun } from './recover-run.js';
import { startMember } from './member.js';
import { runContainer, type EngineAssets } from './run-container.js';
import { signalRun } from './signal-run.js';
import { watchRunUsage } from './watch-usage.js';

export type { EngineAssets } from './run-container.js';

/**
 * A Docker Engine with runc as an {@link Engine}.
 * @param proofs what was proven of engines before
 */
export function createDockerEngine(client: DockerClient, assets: EngineAssets, proofs: Memory): Engine {
  const { docker, call } = client;
  const askInfo = (signal?: AbortSignal): Promise<unknown> =>
    call('describe itself', CALL_MS, (abortSignal) => ask(docker, 'info', abortSignal), signal);
  let info: Promise<unknown> | null = null;
  const identify = async () => {
    const { ID, ServerVersion } = fieldsOf(await (info ??= askInfo()));
    return { id: String(ID), version: String(ServerVersion) };
  };
  return {
    async probe(signal) {
      const [version, described] = await Promise.all([
        call('tell its version', CALL_MS, (abortSignal) => ask(docker, 'version', abortSignal), signal),
        (info = askInfo(signal)),
      ]);
      return { ...readFacts(version, described), hostAddresses: hostAddresses(client) };
    },
    isIsolationProven: async () => isProven(await identify(), proofs),
    run: (runId, owner, plan, streams, signals) =>
      runContainer(client, { ...assets, identify, proofs }, runId, owner, plan, streams, signals),
    prepare: (memberId, mark, owner, plan) => startMember(client, assets, memberId, mark, owner, plan),
    listRuns: async (home, signal) =>
      (await findRemains(client, home, signal)).map(({ runId, owner, mark }) => ({
        runId,
        owner,
        ...(mark !== undefined && { mark }),
      })),
    signal: (runId, signal) => signalRun(client, runId, signal),
    watchUsage: (runId, signal) => watchRunUsage(client, runId, signal),
    recover: (run, limits, streams, signal) => recoverRun(client, run, limits, streams, signal),
  };
}

/** dockerode takes options here that its types do not know. */
function ask(
  docker: DockerClient['docker'],
  what: 'version' | 'info',
  abortSignal: AbortSignal,
): Promise<unknown> {
  const call = docker[what].bind(docker) as unknown as (options: object) => Promise<unknown>;
  return call({ abortSignal });
}
