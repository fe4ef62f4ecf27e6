import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { ConnectionRecord } from '../../model/record.js';
import { isTimestamp } from '../../model/timestamp.js';
import { fieldsOf } from '../../model/fields.js';

/** What a gateway says. */
export type GatewayLine =
  | { readonly kind: 'ready' }
  | { readonly kind: 'connection'; readonly connection: ConnectionRecord }
  | { readonly kind: 'end'; readonly omitted: number };

const LONGEST_LINE = 4096;
const LONGEST_TEXT = 300;

/**
 * The lines of a gateway's output, each checked: the gateway is ours, but it stands next to hostile code.
 * @throws SjsError `ENGINE_FAILED` for what is no such line
 */
export async function* readGatewayLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<GatewayLine, void, void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield parseGatewayLine(line);
    if (rest.length > LONGEST_LINE) throw notALine();
  }
}

/** One line. Pure. */
export function parseGatewayLine(line: string): GatewayLine {
  if (line.length > LONGEST_LINE) throw notALine();
  let value: Readonly<Record<string, unknown>>;
  try {
    value = fieldsOf(JSON.parse(line));
  } catch {
    throw notALine();
  }
  if (value['ready'] === true) return { kind: 'ready' };
  if (value['end'] === true && isCount(value['omitted'])) return { kind: 'end', omitted: value['omitted'] };
  const connection = toConnection(fieldsOf(value['connection']));
  if (connection === null) throw notALine();
  return { kind: 'connection', connection };
}

function toConnection(fields: Readonly<Record<string, unknown>>): ConnectionRecord | null {
  const { at, direction, name, address, port, sentBytes, receivedBytes, verdict, reason } = fields;
  if (!isTimestamp(at)) return null;
  if (direction !== 'out' && direction !== 'in') return null;
  if (verdict !== 'allowed' && verdict !== 'blocked') return null;
  if (![name, address, reason].every((text) => text === null || typeof text === 'string')) return null;
  if (port !== null && (!isCount(port) || port > 65535)) return null;
  if (!isCount(sentBytes) || !isCount(receivedBytes)) return null;
  return {
    at,
    direction,
    name: clean(name),
    address: clean(address),
    port,
    sentBytes,
    receivedBytes,
    verdict,
    reason: clean(reason),
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const clean = (value: unknown): string | null =>
  typeof value === 'string' ? cleanText(value).slice(0, LONGEST_TEXT) : null;
const notALine = (): SjsError => new SjsError('ENGINE_FAILED', 'the gateway said what no gateway says');
