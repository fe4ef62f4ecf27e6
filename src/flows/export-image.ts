import { EXPORT_FORMAT_VERSION, EXPORT_NAMES, type ExportManifest } from '../model/export-file.js';
import type { Digest } from '../model/digest.js';
import { isFinished, type RunRecord } from '../model/record.js';
import type { SealedImage } from '../model/sealed-image.js';
import {
  findFilePlace,
  readArchive,
  streamArchive,
  textFile,
  writeWholeFile,
  type ArchiveFile,
} from '../stages/archive/write-archive.js';
import { findSealedImage, type TargetTools } from './find-target.js';

/** What an export has in it. */
export interface ExportResult {
  readonly file: string;
  readonly tag: string;
  readonly seal: string;
  readonly runs: readonly string[];
}

/**
 * Writes a sealed image, and finished runs of it with their contents, as one OCI archive. A file of that name is replaced.
 * @param runs those to go with it; null for all there are
 * @throws SjsError `USAGE` where no file can be written; `DISK_FULL`, `STORE_FAILED`, `SEAL_*`.
 */
export async function exportImage(
  target: string,
  file: string,
  runs: readonly RunRecord[] | null,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<ExportResult> {
  const place = await findFilePlace(file);
  const sealed = await findSealedImage(target, tools, signal);
  const { entry } = sealed;
  const where = (record: RunRecord): boolean => isFinished(record);
  const records = runs ?? (await tools.store.listRecords({ seal: entry.seal, where }));
  const contents = new Map<Digest, number>();
  for (const { digest, bytes } of records.flatMap(contentsOf)) {
    if (await tools.store.hasBlob(digest)) contents.set(digest, bytes);
  }
  const archive = streamArchive(filesOf(sealed, records, contents, tools, signal));
  await writeWholeFile(archive, place);
  return { file: place, tag: entry.tag, seal: entry.seal, runs: records.map(({ id }) => id) };
}

/** Everything a record refers to. */
export const contentsOf = (
  record: RunRecord,
): readonly { readonly digest: Digest; readonly bytes: number }[] =>
  [record.stdin, record.stdout, record.stderr, ...record.artifacts].flatMap((one) => (one ? [one] : []));

async function* filesOf(
  { entry, image }: SealedImage,
  records: readonly RunRecord[],
  contents: ReadonlyMap<Digest, number>,
  { store, images }: TargetTools,
  signal?: AbortSignal,
): AsyncGenerator<ArchiveFile> {
  const { seal, tag, name, version, base, createdAt } = entry;
  const manifest: ExportManifest = {
    formatVersion: EXPORT_FORMAT_VERSION,
    entry: { seal, tag, name, version, base, createdAt },
    runs: records.map(({ id }) => id),
    contents: [...contents.keys()],
  };
  yield textFile(EXPORT_NAMES.manifest, `${JSON.stringify(manifest, null, 2)}\n`);
  for (const record of records) yield textFile(EXPORT_NAMES.run(record.id), JSON.stringify(record));
  for (const [digest, bytes] of contents) {
    yield { name: EXPORT_NAMES.blob(digest), bytes, content: store.openBlob(digest) };
  }
  yield* readArchive(await images.save(image.imageId, signal));
}
