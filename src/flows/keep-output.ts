import type { Answer, CallRecord } from '../model/call.js';
import { sha256 } from '../model/digest.js';
import type { ArtifactRecord, RunRecord, StreamRecord } from '../model/record.js';
import type { BlobWriter, RecordStore, When } from '../ports/record-store.js';
import type { RunOutput } from './execute-run.js';

/** Output that may be on its way to the disk while more is read. */
const KEEPING_BYTES = 1024 ** 2;

/** Writes without waiting for each piece, until more than that is under way. A write that failed fails the next. */
export function keepOutput(): (blob: BlobWriter, chunk: Uint8Array) => Promise<void> {
  let underWay = 0;
  let failure: { readonly error: unknown } | null = null;
  return async (blob, chunk) => {
    if (failure) throw failure.error;
    underWay += chunk.length;
    const written = blob.write(chunk).then(
      () => void (underWay -= chunk.length),
      (error: unknown) => {
        failure ??= { error };
        throw error;
      },
    );
    written.catch(() => undefined);
    if (underWay > KEEPING_BYTES) await written;
  };
}

/** Makes what a stream wrote content of the store, and says whether that is all of it. */
const commit = async (blob: BlobWriter, truncated: boolean) => ({
  ...(await blob.commit()),
  truncated,
});

/** What a stream wrote, as a record has it. */
export const streamOf = (
  { digest, bytes }: Pick<StreamRecord, 'digest' | 'bytes'>,
  truncated: boolean,
): StreamRecord => ({ digest, bytes, truncated });

/** What a run had written when sjs or the engine failed; there may have been more. */
export async function commitOutput(
  stdout: BlobWriter,
  stderr: BlobWriter,
): Promise<Pick<RunRecord, 'stdout' | 'stderr'>> {
  const [out, err] = await Promise.all([commit(stdout, true), commit(stderr, true)]);
  return { stdout: out, stderr: err };
}

/**
 * Keeps a file of /out and passes it on. What its receiver fails with is put aside: the file is kept all the same.
 */
export async function keepArtifact(
  path: string,
  content: AsyncIterable<Uint8Array>,
  store: RecordStore,
  output: RunOutput,
  receiverErrors: unknown[],
): Promise<ArtifactRecord> {
  const blob = await store.createBlob();
  try {
    for await (const chunk of content) await blob.write(chunk);
    const { digest, bytes } = await blob.commit();
    await output
      .onArtifact?.(path, store.openBlob(digest))
      .catch((error: unknown) => void receiverErrors.push(error));
    return { path, digest, bytes };
  } catch (error) {
    await blob.discard();
    throw error;
  }
}

/** Keeps what is there as a whole; `placed` and `kept` as a {@link BlobWriter} says them. */
export function keepBytes(bytes: Uint8Array, store: RecordStore, when?: When) {
  const keep = async () => {
    const blob = await store.createBlob();
    await blob.write(bytes);
    return blob.finish(when);
  };
  const keeping = keep();
  const placed = keeping.then((finished) => finished.placed);
  const kept = keeping.then((finished) => finished.kept);
  for (const pending of [placed, kept]) pending.catch(() => undefined);
  return { content: { digest: sha256(bytes), bytes: bytes.length }, placed, kept };
}

/** Keeps an answer, for whoever reads the record. */
export async function keepAnswer(
  { kind, json }: Answer,
  store: RecordStore,
): Promise<NonNullable<CallRecord['answer']>> {
  const { content, kept } = keepBytes(json, store);
  await kept;
  return { kind, ...content };
}
