import { SjsError } from '../../errors.js';
import { MOST_CONNECTIONS, type ConnectionRecord } from '../../model/record.js';
import { CALL_MS, type DockerClient } from './client.js';
import { demux } from './demux.js';
import { readGatewayLines } from './gateway-lines.js';
import { gatewayName } from './owner-labels.js';
import { readLog } from './read-log.js';

/** Nothing that a gateway says in a run is longer. */
export const GATEWAY_LOG_BYTES = 4 * 1024 ** 2;

/**
 * What a gateway told before it ended, read back from the engine's log: it ends when its sjs does.
 * @param onConnection each connection, at most `MOST_CONNECTIONS`
 * @returns how many connections were not told; null when that cannot be known
 */
export async function readGatewayLog(
  client: DockerClient,
  runId: string,
  onConnection: (connection: ConnectionRecord) => void,
  signal?: AbortSignal,
): Promise<number | null> {
  const log = readLog(client, gatewayName(runId), CALL_MS, signal);
  try {
    const omitted = await readConnections(log.bytes(), onConnection);
    return log.failed() ? null : omitted;
  } catch (error) {
    // What is no gateway's word ends the reading, not the recovery.
    if (error instanceof SjsError && error.code === 'ENGINE_FAILED') return null;
    throw error;
  }
}

/** {@link readGatewayLog} of the log's bytes. @throws SjsError `ENGINE_FAILED` where they are not what a gateway says */
export async function readConnections(
  log: AsyncIterable<Uint8Array>,
  onConnection: (connection: ConnectionRecord) => void,
): Promise<number | null> {
  let told = 0;
  for await (const line of readGatewayLines(stdoutOf(log))) {
    if (line.kind === 'end') return line.omitted;
    if (line.kind === 'ready') continue;
    told += 1;
    if (told > MOST_CONNECTIONS) return null;
    onConnection(line.connection);
  }
  return null;
}

async function* stdoutOf(log: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let left = GATEWAY_LOG_BYTES;
  for await (const { stream, data } of demux(log)) {
    left -= data.length;
    if (left < 0) return;
    if (stream === 'stdout') yield data;
  }
}
