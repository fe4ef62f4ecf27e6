import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import {
  EXPORT_FORMAT_VERSION,
  EXPORT_LIMITS,
  EXPORT_NAMES,
  type ExportManifest,
} from '../model/export-file.js';
import { contentsOf, isFinished, NO_OWNER, type RunRecord } from '../model/record.js';
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
 * Writes a sealed image, and finished runs of it with their contents, as one OCI archive.
 * @param runs those to go with it; null for all there are
 * @throws SjsError `USAGE` where no file can be written and for more than an import takes, `STORE_FAILED`, `DISK_FULL`;
 * as finding the image does.
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
  const recordsBytes = records.reduce((sum, record) => sum + Buffer.byteLength(textOf(record)), 0);
  const entries = Math.max(records.length, contents.size);
  if (entries > EXPORT_LIMITS.entries || recordsBytes > EXPORT_LIMITS.recordsBytes) {
    throw new SjsError('USAGE', `${entry.tag} has more runs than one export takes: ${records.length}`, {
      next: 'choose some with --run, or export the image alone with --no-runs',
    });
  }
  const archive = streamArchive(filesOf(sealed, records, contents, tools, signal));
  await writeWholeFile(archive, place);
  return { file: place, tag: entry.tag, seal: entry.seal, runs: records.map(({ id }) => id) };
}

/** A record as it goes elsewhere: which process of which home it had is nobody's business there. */
const textOf = (record: RunRecord): string => JSON.stringify({ ...record, owner: NO_OWNER });

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
  const statement = await store.readSealStatement(seal);
  if (statement !== null) yield textFile(EXPORT_NAMES.statement, statement);
  for (const record of records) yield textFile(EXPORT_NAMES.run(record.id), textOf(record));
  for (const [digest, bytes] of contents) {
    yield { name: EXPORT_NAMES.blob(digest), bytes, content: store.openBlob(digest) };
  }
  yield* readArchive(await images.save(image.imageId, signal));
}
