import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../../errors.js';
import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf, toEngineError } from './engine-error.js';
import { readState, type ContainerState } from './outcome.js';

const RETRIES = 8;
const POLL_MS = 500;

/**
 * Waits for a container that was started to stop. A connection that breaks (the engine restarts) is tried again for
 * some seconds; `sawRestart` says so. Asked for after the start, with the engine's default condition: one that has
 * ended already is reported at once.
 * @throws SjsError `CONTAINER_LOST` when somebody removed it; what `failed` rejects with.
 */
export async function waitUntilStopped(
  client: DockerClient,
  name: string,
  failed: Promise<never>,
): Promise<{ readonly sawRestart: boolean }> {
  const { docker, endpoint } = client;
  const controller = new AbortController();
  const wait = async (): Promise<{ readonly sawRestart: boolean }> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        // An engine that has just come back may forget whom it promised an answer.
        if (attempt > 0) await pollUntilStopped(client, name, controller.signal);
        else await waitOnce(docker, name, controller.signal);
        return { sawRestart: attempt > 0 };
      } catch (error) {
        if (statusOf(error) === 404) throw lost(error);
        if (error instanceof SjsError && error.code === 'CONTAINER_LOST') throw error;
        if (attempt === RETRIES || statusOf(error) !== null) {
          throw error instanceof SjsError ? error : toEngineError('wait for the container', error, endpoint);
        }
        await delay(250 * (attempt + 1), undefined, { signal: controller.signal });
      }
    }
  };
  const waiting = wait();
  waiting.catch(() => undefined);
  try {
    return await Promise.race([waiting, failed]);
  } finally {
    controller.abort();
  }
}

/**
 * One request to wait. The engine sends the head of its answer at once; when the connection breaks before the rest,
 * docker-modem calls nobody back, unless it is asked for a stream.
 */
async function waitOnce(
  docker: DockerClient['docker'],
  name: string,
  abortSignal: AbortSignal,
): Promise<void> {
  const modem = docker.modem as {
    dial(options: object, done: (error: Error | null, answer: Readable) => void): void;
  };
  const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' };
  const path = `/containers/${name}/wait`;
  const answer = await new Promise<Readable>((resolve, reject) =>
    modem.dial({ path, method: 'POST', isStream: true, abortSignal, statusCodes }, (error, stream) => {
      if (error) reject(error);
      else resolve(stream);
    }),
  );
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  if (!/"StatusCode":\s*\d/.test(text)) throw new Error('the engine did not finish its answer');
}

async function pollUntilStopped(client: DockerClient, name: string, signal: AbortSignal): Promise<void> {
  while ((await inspectState(client, name)).Running) await delay(POLL_MS, undefined, { signal });
}

/** {@link inspectState} of an engine that may just be restarting. */
export async function inspectPatiently(client: DockerClient, name: string): Promise<ContainerState> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await inspectState(client, name);
    } catch (error) {
      const isAway = error instanceof SjsError && error.code === 'ENGINE_UNREACHABLE';
      if (!isAway || attempt === RETRIES) throw error;
      await delay(250 * (attempt + 1));
    }
  }
}

/**
 * The state of a container by the engine's word. The engine answers when it holds the container's lock, which its start
 * and its end may keep for as long as they take.
 * @throws SjsError `CONTAINER_LOST` when it is gone.
 */
export async function inspectState(client: DockerClient, name: string): Promise<ContainerState> {
  try {
    const found = await client.call('inspect the container', SLOW_CALL_MS, (abortSignal) =>
      client.docker.getContainer(name).inspect({ abortSignal }),
    );
    return readState(found);
  } catch (error) {
    throw statusOf(error) === 404 ? lost(error) : error;
  }
}

function lost(cause: unknown): SjsError {
  return new SjsError('CONTAINER_LOST', 'somebody removed the container while it ran', {
    cause,
    next: 'see `docker events`; leave containers named sjs-… to sjs',
  });
}
