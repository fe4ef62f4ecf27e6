import { addAbortSignal, type Readable } from 'node:stream';
import { CALL_MS, type DockerClient } from './client.js';
import { abortedError, statusOf } from './engine-error.js';

/** The multiplexed output of a container, and whether there was more that could not be read. */
export interface ContainerLog {
  readonly bytes: () => AsyncGenerator<Uint8Array, void, void>;
  readonly failed: () => boolean;
}

/**
 * What the engine's log kept of stdout and stderr, up to the container's end, as far as it can be read.
 * @param patienceMs how long that may take
 */
export function readLog(
  { docker, call }: DockerClient,
  name: string,
  patienceMs: number,
  signal?: AbortSignal,
): ContainerLog {
  let failed = false;
  const open = (abortSignal: AbortSignal) =>
    docker.getContainer(name).logs({ follow: true, stdout: true, stderr: true, abortSignal });
  async function* bytes(): AsyncGenerator<Uint8Array, void, void> {
    let stream: Readable;
    try {
      stream = (await call('read the log', CALL_MS, open, signal)) as Readable;
    } catch (error) {
      // An engine that is not there will be; one that answers so will not say anything else later.
      if (statusOf(error) === null) throw error;
      failed = true;
      return;
    }
    const silent = AbortSignal.timeout(patienceMs);
    try {
      yield* addAbortSignal(signal ? AbortSignal.any([signal, silent]) : silent, stream);
    } catch {
      if (signal?.aborted) throw abortedError('read the log');
      failed = true;
    }
  }
  return { bytes, failed: () => failed };
}
