import type { Duplex } from 'node:stream';
import { SjsError } from '../../errors.js';
import type { RunPlan } from '../../model/run-plan.js';
import type { Owner, RunStreams } from '../../ports/engine.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { readCollectorFrames } from './collector-frames.js';
import { collectorOptions } from './helper-options.js';
import { createNamedContainer } from './create-container.js';
import { demux } from './demux.js';
import { cleanWords } from './engine-error.js';
import { outName } from './owner-labels.js';

const SILENCE_MS = 30_000;

/** The container that keeps /out mounted while the program runs, and brings its files out afterwards. */
export interface Collector {
  /** Hands over what /out holds. Once, after the program is dead. */
  collect(streams: Pick<RunStreams, 'onArtifact' | 'onSkippedArtifact'>): Promise<void>;
}

/**
 * Starts the collector; it must run before the sandbox does: a tmpfs volume lives only while a container mounts it.
 * The caller removes the container `outName(runId)`.
 */
export async function startCollector(
  client: DockerClient,
  runId: string,
  owner: Owner,
  plan: RunPlan,
  script: string,
  abort?: AbortSignal,
): Promise<Collector> {
  const name = outName(runId);
  const limits = { bytes: plan.filesystem.outBytes ?? 0, files: plan.filesystem.outInodes };
  const options = collectorOptions(runId, owner, plan, script);
  await createNamedContainer(client, name, options, abort);
  const socket = await client.call('attach', CALL_MS, (signal) => attach(client, name, signal), abort);
  // Ends of the connection are met where it is read.
  socket.on('error', () => undefined);
  try {
    await client.call(
      'start the collector',
      SLOW_CALL_MS,
      (abortSignal) => client.docker.getContainer(name).start({ abortSignal }),
      abort,
    );
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return {
    async collect(streams) {
      try {
        socket.write('go\n');
        await readCollectorFrames(takeStdout(withoutSilence(socket)), limits, streams);
      } finally {
        socket.destroy();
      }
    },
  };
}

async function* takeStdout(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let words = '';
  for await (const { stream, data } of demux(source)) {
    if (stream === 'stdout') yield data;
    else if (words.length < 2000) words += Buffer.from(data).toString('utf8');
  }
  if (words !== '') throw new SjsError('ENGINE_FAILED', `the collector failed: ${cleanWords(words)}`);
}

/** The same chunks, but an engine that says nothing for too long is an error. */
async function* withoutSilence(socket: Duplex): AsyncGenerator<Uint8Array, void, void> {
  const iterator = (socket as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(() => {
      socket.destroy(new SjsError('ENGINE_TIMEOUT', `the collector was silent for ${SILENCE_MS / 1000} s`));
    }, SILENCE_MS);
    const result = await iterator.next().finally(() => clearTimeout(timer));
    if (result.done) return;
    yield result.value;
  }
}
