import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../errors.js';
import { isFinished, type RunRecord } from '../model/record.js';
import type { GrowingContent } from '../ports/record-store.js';
import { POLL_MS, type ManageTools } from './manage-run.js';

/** One piece of what a run wrote. */
export interface OutputPiece {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
  /** It was written before the reading began. Following, an empty piece stands where that ends. */
  readonly isBacklog: boolean;
}

/** Which output is wanted. */
export interface OutputQuery {
  /** Go on until the run is over. */
  readonly follow?: boolean;
  /** Only what came after this time, in milliseconds since the epoch, to about the hundredth of a second. */
  readonly sinceMs?: number;
  readonly signal?: AbortSignal;
}

const STREAMS = ['stdout', 'stderr'] as const;
type StreamName = (typeof STREAMS)[number];
const OWNER_EVERY_MS = 1000;

/**
 * What a run wrote, byte for byte, of each stream in order: from its contents when it is over, else from what its owner
 * is writing. Following ends with the run; one whose sjs dies is recovered, and read on where it was.
 * @throws SjsError `OUTPUT_TIMES_MISSING` when a time is asked for and nobody noted any.
 */
export async function* readOutput(
  id: string,
  query: OutputQuery,
  tools: ManageTools,
): AsyncGenerator<OutputPiece> {
  const { store } = tools;
  const first = await store.findRecord(id);
  const offsets = await findOffsets(first, query.sinceMs, tools);
  const read: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  const growing = new Map<StreamName, GrowingContent>();
  let isBacklog = true;
  let lookedAt = tools.clock.monotonic();
  /** The part of a piece that was not read before and is wanted. */
  const take = (stream: StreamName, at: number, data: Uint8Array): OutputPiece | null => {
    const from = Math.max(read[stream], offsets[stream]) - at;
    read[stream] = Math.max(read[stream], at + data.length);
    return from >= data.length ? null : { stream, data: data.subarray(Math.max(0, from)), isBacklog };
  };
  try {
    for (;;) {
      // Before its output is read: what is there after its end is all there is.
      const record = await store.findRecord(id);
      if (isFinished(record)) {
        for (const stream of STREAMS) {
          const content = record[stream];
          // With nothing left of it, it need not be kept any more.
          if (content === null || content.bytes <= Math.max(read[stream], offsets[stream])) continue;
          let at = 0;
          for await (const chunk of store.openBlob(content.digest) as AsyncIterable<Uint8Array>) {
            const piece = take(stream, at, chunk);
            at += chunk.length;
            if (piece) yield piece;
          }
        }
        return;
      }
      for (const stream of STREAMS) {
        const content = growing.get(stream) ?? (await store.openGrowing({ runId: id, stream }));
        if (content === null) continue;
        growing.set(stream, content);
        for (let data = await content.read(); data.length > 0; data = await content.read()) {
          const piece = take(stream, read[stream], data);
          if (piece) yield piece;
        }
      }
      if (!query.follow) return;
      if (isBacklog) yield { stream: 'stdout', data: new Uint8Array(), isBacklog: false };
      isBacklog = false;
      offsets.stdout = offsets.stderr = 0;
      const now = tools.clock.monotonic();
      if (now - lookedAt >= OWNER_EVERY_MS) {
        lookedAt = now;
        if (!(await tools.isOwnerAlive(record.owner))) await tools.recover();
      }
      await delay(POLL_MS, undefined, { signal: query.signal }).catch(() => {
        throw new SjsError('ABORTED', `stopped reading while run ${id} goes on`);
      });
    }
  } finally {
    await Promise.all([...growing.values()].map((content) => content.close()));
  }
}

/** Where in each stream the output since a time begins. */
async function findOffsets(
  record: RunRecord,
  sinceMs: number | undefined,
  tools: ManageTools,
): Promise<Record<StreamName, number>> {
  if (sinceMs === undefined || sinceMs <= Date.parse(record.createdAt)) return { stdout: 0, stderr: 0 };
  if (!isFinished(record)) return offsetsIn(await readGrowingTimes(record.id, tools), sinceMs);
  const times = record.outputTimes;
  if (times) {
    const begin = Date.parse(record.createdAt);
    const marks = times.marks.map(([ms, out, err]) => [begin + ms, out, err, times.everyMs] as const);
    return offsetsIn(marks, sinceMs);
  }
  throw new SjsError('OUTPUT_TIMES_MISSING', `nobody noted when the output of run ${record.id} came`, {
    next: 'leave --since out; --tail shows the last lines',
  });
}

type Mark = readonly [ms: number, stdout: number, stderr: number, everyMs: number];

/** What came within `everyMs` after a mark has none of its own: the mark that covers the time counts. */
function offsetsIn(marks: readonly Mark[], sinceMs: number): Record<StreamName, number> {
  const mark = marks.find(([ms, , , everyMs]) => ms + everyMs > sinceMs);
  return { stdout: mark?.[1] ?? Infinity, stderr: mark?.[2] ?? Infinity };
}

async function readGrowingTimes(runId: string, { store }: ManageTools): Promise<readonly Mark[]> {
  const content = await store.openGrowing({ runId, stream: 'times' });
  if (content === null) return [];
  let text = '';
  try {
    for (let data = await content.read(); data.length > 0; data = await content.read()) {
      text += Buffer.from(data).toString('latin1');
    }
  } finally {
    await content.close();
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ').map(Number) as unknown as Mark);
}
