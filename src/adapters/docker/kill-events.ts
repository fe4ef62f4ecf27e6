import { CALL_MS, type DockerClient } from './client.js';
import type { ContainerState } from './outcome.js';

/** The engine writes the event just after the signal, so possibly just after the end. */
const SLACK_MS = 200;
const MAX_BYTES = 1024 * 1024;

/**
 * Whether the engine's event log has a SIGKILL for this container. Asked only when sjs sent none. False when the log
 * does not reach back or does not answer: nothing is claimed then.
 */
export async function hasKillEvent(
  { docker, call }: DockerClient,
  name: string,
  state: ContainerState,
): Promise<boolean> {
  const [start, end] = [Date.parse(state.StartedAt), Date.parse(state.FinishedAt)];
  const query = {
    // In seconds.
    since: start / 1000,
    until: (end + SLACK_MS) / 1000,
    filters: { container: [name], event: ['kill'] },
  };
  try {
    return await call('read its events', CALL_MS, async (abortSignal) => {
      const stream = await docker.getEvents({ ...query, abortSignal });
      let text = '';
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        text += chunk.toString('utf8');
        if (text.length > MAX_BYTES) break;
      }
      return text.split('\n').some(isSigkill);
    });
  } catch {
    return false;
  }
}

/** Whether one line of the event log is a SIGKILL. */
export function isSigkill(line: string): boolean {
  try {
    const event = JSON.parse(line) as { Action?: string; Actor?: { Attributes?: { signal?: string } } };
    return (
      event.Action === 'kill' && /^(?:9|KILL|SIGKILL)$/.test(String(event.Actor?.Attributes?.signal ?? ''))
    );
  } catch {
    return false;
  }
}
