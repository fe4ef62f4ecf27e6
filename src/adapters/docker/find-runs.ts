import { fieldsOf } from '../../model/fields.js';
import type { AbandonedRun } from '../../ports/engine.js';
import { textOf, textsOf } from './answer.js';
import { CALL_MS, type DockerClient } from './client.js';
import {
  gatewayName,
  networkName,
  outName,
  readOwnerLabels,
  RUN_LABELS,
  sandboxName,
} from './owner-labels.js';

/** What of one run the engine still has. */
export interface RunRemains extends AbandonedRun {
  /** The sandbox container, when there is one. */
  readonly hasSandbox: boolean;
  /** Whether the gateway container is there. */
  readonly hasGateway: boolean;
  /** Ids of the other containers: the collector, or one that never ran. */
  readonly others: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
}

/** What runs of this SJS_HOME have left in the engine, grouped by run and owner. */
export async function findRemains(
  { docker, call }: DockerClient,
  home: string,
  signal?: AbortSignal,
): Promise<readonly RunRemains[]> {
  const filters = { label: [`${RUN_LABELS.home}=${home}`] };
  const [containers, found, networks] = await Promise.all([
    call(
      'list containers',
      CALL_MS,
      (abortSignal) => docker.listContainers({ all: true, filters, abortSignal }),
      signal,
    ),
    call('list volumes', CALL_MS, () => docker.listVolumes({ filters }), signal),
    call('list networks', CALL_MS, () => docker.listNetworks({ filters }), signal),
  ]);
  return groupRemains(containers, fieldsOf(found)['Volumes'], networks);
}

/**
 * Groups what was listed. Labels alone prove nothing, since a container that somebody starts by hand inherits those of
 * its image: a name that sjs gives must be there too, or the container must never have run. Pure.
 */
export function groupRemains(
  containers: unknown,
  volumes: unknown,
  networks: unknown,
): readonly RunRemains[] {
  const found = new Map<string, { -readonly [K in keyof RunRemains]: RunRemains[K] }>();
  const entry = (labels: unknown) => {
    const run = readOwnerLabels(fieldsOf(labels));
    if (run === null) return null;
    const key = JSON.stringify(run);
    const known = found.get(key) ?? {
      ...run,
      hasSandbox: false,
      hasGateway: false,
      others: [],
      volumes: [],
      networks: [],
    };
    return { known, keep: () => void found.set(key, known) };
  };
  for (const { Id, Names, State, Labels } of listed(containers)) {
    const run = entry(Labels);
    if (run === null || typeof Id !== 'string') continue;
    const mark = textOf(fieldsOf(Labels)[RUN_LABELS.mark]);
    if (mark !== null) run.known.mark = mark;
    const name = textsOf(Names)[0]?.replace(/^\//, '');
    if (name === sandboxName(run.known.runId)) run.known.hasSandbox = true;
    else if (name === gatewayName(run.known.runId)) run.known.hasGateway = true;
    else if (name === outName(run.known.runId) || State === 'created')
      run.known.others = [...run.known.others, Id];
    else continue;
    run.keep();
  }
  for (const { Name, Labels } of listed(volumes)) {
    const run = entry(Labels);
    if (run === null || Name !== outName(run.known.runId)) continue;
    run.known.volumes = [...run.known.volumes, Name];
    run.keep();
  }
  for (const { Name, Labels } of listed(networks)) {
    const run = entry(Labels);
    if (run === null || Name !== networkName(run.known.runId)) continue;
    run.known.networks = [...run.known.networks, Name];
    run.keep();
  }
  return [...found.values()];
}

const listed = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(fieldsOf) : [];
