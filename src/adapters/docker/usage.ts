import type { Readable } from 'node:stream';
import { fieldsOf } from '../../model/fields.js';
import type { RunOutcome } from '../../ports/engine.js';
import { countOf } from './answer.js';
import type { DockerClient } from './client.js';
import { readLines } from './statistics.js';

/** Runs shorter than this are not measured: the engine's first sample takes about as long. */
const FIRST_SAMPLE_MS = 1_000;

/** Reads a run's usage from the engine's statistics while it runs. */
export interface UsageWatch {
  /** Ends the watch; the last sample, or null when there was none. */
  stop(): RunOutcome['usage'];
}

/** Begins to watch a container that was started. Failures only mean that there is no usage. */
export function watchUsage(client: DockerClient, name: string): UsageWatch {
  // Made when there is something to end: most calls of functions are over before.
  let controller: AbortController | null = null;
  let usage: RunOutcome['usage'] = null;
  const watch = async (): Promise<void> => {
    controller = new AbortController();
    const options = { stream: true, abortSignal: controller.signal } as const;
    const stream = (await client.docker.getContainer(name).stats(options)) as Readable;
    stream.on('error', () => undefined);
    for await (const line of readLines(stream)) usage = readSample(line, usage) ?? usage;
  };
  const timer = setTimeout(() => void watch().catch(() => undefined), FIRST_SAMPLE_MS);
  return {
    stop() {
      clearTimeout(timer);
      controller?.abort();
      return usage;
    },
  };
}

/** One line of the statistics: CPU time so far, and the most memory that was seen. Null when it has none. */
export function readSample(line: string, before: RunOutcome['usage']): RunOutcome['usage'] {
  try {
    const sample = fieldsOf(JSON.parse(line));
    const nanoseconds = countOf(fieldsOf(fieldsOf(sample['cpu_stats'])['cpu_usage'])['total_usage']);
    const memory = fieldsOf(sample['memory_stats']);
    const used = countOf(memory['usage']);
    // A container that has just ended is reported with zeros.
    if (!nanoseconds || used === null) return null;
    return {
      cpuMs: Math.round(nanoseconds / 1_000_000),
      peakMemoryBytes: Math.max(countOf(memory['max_usage']) ?? 0, used, before?.peakMemoryBytes ?? 0),
    };
  } catch {
    return null;
  }
}
