import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';
import { sandboxName } from './owner-labels.js';

/** Sends a signal to the program of a run; false when it does not run. */
export async function signalRun(
  { docker, call }: DockerClient,
  runId: string,
  signal: NodeJS.Signals,
): Promise<boolean> {
  try {
    await call(`send ${signal}`, SLOW_CALL_MS, (abortSignal) =>
      docker.getContainer(sandboxName(runId)).kill({ signal, abortSignal }),
    );
    return true;
  } catch (error) {
    // 404: it is gone; 409: it does not run.
    if ([404, 409].includes(statusOf(error) ?? 0)) return false;
    throw error;
  }
}
