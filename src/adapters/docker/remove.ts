import { setTimeout as delay } from 'node:timers/promises';
import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';

const RETRIES = 5;

/** Removes a container with its anonymous volumes, running or not. None is there: done. */
export async function removeContainer({ docker, call }: DockerClient, name: string): Promise<void> {
  await removeWithRetries(() =>
    call('remove the container', SLOW_CALL_MS, (abortSignal) =>
      docker.getContainer(name).remove({ force: true, v: true, abortSignal }),
    ),
  );
}

/** Removes a volume. None is there: done. */
export async function removeVolume({ docker, call }: DockerClient, name: string): Promise<void> {
  await removeWithRetries(() =>
    call('remove the volume', SLOW_CALL_MS, (abortSignal) => docker.getVolume(name).remove({ abortSignal })),
  );
}

/** Removes a network that no running container is on any more. None is there: done. */
export async function removeNetwork({ docker, call }: DockerClient, name: string): Promise<void> {
  // dockerode's types know the callback alone.
  const network = docker.getNetwork(name) as unknown as { remove(options: object): Promise<unknown> };
  await removeWithRetries(() =>
    call('remove the network', SLOW_CALL_MS, (abortSignal) => network.remove({ abortSignal })),
  );
}

async function removeWithRetries(remove: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await remove();
      return;
    } catch (error) {
      if (statusOf(error) === 404) return;
      // 409: it is being removed already, or is still in use by a container that is.
      if (attempt > RETRIES) throw error;
      await delay(50 * 2 ** attempt);
    }
  }
}
