import { addAbortSignal, type Readable } from 'node:stream';
import { fieldsOf } from '../../model/fields.js';
import type { UsageSample } from '../../ports/engine.js';
import { countOf } from './answer.js';
import { CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';
import { sandboxName } from './owner-labels.js';
import { readLines } from './statistics.js';

/** The engine's statistics of a run's container, as they come; see the port. */
export async function* watchRunUsage(
  { docker, call }: DockerClient,
  runId: string,
  signal?: AbortSignal,
): AsyncGenerator<UsageSample> {
  // Ends the stream also when nobody takes any more samples.
  const end = new AbortController();
  const stop = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
  try {
    const container = docker.getContainer(sandboxName(runId));
    const options = { stream: true, abortSignal: stop } as const;
    const open = (): Promise<unknown> => container.stats(options);
    const stream = (await call('tell what a container uses', CALL_MS, open, signal)) as Readable;
    for await (const line of readLines(addAbortSignal(stop, stream))) {
      const sample = readUsage(line);
      if (sample) yield sample;
    }
  } catch (error) {
    if (!stop.aborted && statusOf(error) !== 404) throw error;
  } finally {
    end.abort();
  }
}

/** One line of the statistics; null for one that has none, as that of a container that does not run. */
function readUsage(line: string): UsageSample | null {
  try {
    const sample = fieldsOf(JSON.parse(line));
    const memory = fieldsOf(sample['memory_stats']);
    const details = fieldsOf(memory['stats']);
    const [now, before] = [sample['cpu_stats'], sample['precpu_stats']].map(fieldsOf);
    const total = countOf(fieldsOf(now?.['cpu_usage'])['total_usage']);
    const used = countOf(memory['usage']);
    if (!total || used === null) return null;
    // As the docker command does: cgroup v1 and v2 have different names for what can be taken back.
    const idle = countOf(details['total_inactive_file']) ?? countOf(details['inactive_file']) ?? 0;
    return {
      cpuPercent: percentOf(now ?? {}, before ?? {}),
      cpuMs: Math.round(total / 1_000_000),
      memoryBytes: idle < used ? used - idle : used,
      memoryLimitBytes: countOf(memory['limit']) ?? 0,
      pids: countOf(fieldsOf(sample['pids_stats'])['current']) ?? 0,
    };
  } catch {
    return null;
  }
}

type Cpu = Readonly<Record<string, unknown>>;

/** The share of the container in the time of all CPUs between two samples, times their number. */
function percentOf(now: Cpu, before: Cpu): number | null {
  const [used, usedBefore] = [now, before].map((cpu) => countOf(fieldsOf(cpu['cpu_usage'])['total_usage']));
  const [all, allBefore] = [now, before].map((cpu) => countOf(cpu['system_cpu_usage']));
  const cpus = countOf(now['online_cpus']);
  if (!used || !all || !allBefore || !cpus || usedBefore === null || usedBefore === undefined) return null;
  const share = all > allBefore && used >= usedBefore ? (used - usedBefore) / (all - allBefore) : 0;
  return Math.round(share * cpus * 10_000) / 100;
}
