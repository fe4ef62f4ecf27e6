import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { SjsError } from '../errors.js';
import {
  EXPORT_LIMITS,
  EXPORT_NAMES,
  invalidExport,
  parseExportManifest,
  parseImageConfig,
  parseImageList,
  type ExportManifest,
} from '../model/export-file.js';
import { isFinished, type RunRecord } from '../model/record.js';
import { computeSeal, formatTag, type ImageFacts } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import { timeOfUlid } from '../model/ulid.js';
import type { Clock } from '../ports/clock.js';
import type { RecordStore } from '../ports/record-store.js';
import { readArchive, readBytes, type ArchiveFile } from '../stages/archive/write-archive.js';

/** What an export holds, read and not yet believed. */
export interface SealedExport {
  /** Its files, from the first one on. */
  readonly open: () => AsyncGenerator<ArchiveFile>;
  readonly manifest: ExportManifest;
  /** Text of the config, and what it says. Its seal is the one that the manifest names. */
  readonly config: string;
  readonly image: ImageFacts;
  readonly layers: readonly string[];
  /** The signed statement of the seal; null without one. */
  readonly statement: string | null;
  /** Each was looked at. Parsed once more when it is wanted: many of them are large. */
  readonly records: ReadonlyMap<string, () => RunRecord>;
}

/** Clocks of two machines differ, and a run has its id before the engine has said that it can run. */
const CLOCK_SLACK_MS = 600_000;

/**
 * Reads all of an export but layers and contents, in bounded memory, and checks it: the image has the seal that the file
 * names, the runs are of that seal.
 * @throws SjsError `FILE_NOT_FOUND`, `IMPORT_INVALID`, `SEAL_MISMATCH`, `SEAL_REFUSED`; `STORE_INVALID` for what is no record.
 */
export async function readExport(
  file: string,
  { store, clock }: { readonly store: Pick<RecordStore, 'parseRecord'>; readonly clock: Pick<Clock, 'now'> },
): Promise<SealedExport> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new SjsError('FILE_NOT_FOUND', `there is no ${file}`, { cause, next: 'name a file of sjs export' });
  });
  if (!found.isFile()) throw invalidExport(`${file} is not a plain file`);
  const open = async function* (): AsyncGenerator<ArchiveFile> {
    try {
      yield* readArchive(createReadStream(file));
    } catch (cause) {
      throw cause instanceof SjsError ? cause : invalidExport(`${file} cannot be read as an archive`, cause);
    }
  };
  const { manifest, list, texts } = await readTexts(open);
  const { config: configName, layers } = parseImageList(list);
  const config = await readConfig(open, configName);
  const image: ImageFacts = {
    ...parseImageConfig(config),
    imageId: '',
    unknownConfigFields: [],
    tags: [],
    sizeBytes: 0,
  };
  if (image.diffIds.length !== layers.length) {
    throw invalidExport('it has other layers than the config of its image');
  }
  const { seal } = manifest.entry;
  const computed = computeSeal(image);
  if (computed !== seal) {
    throw new SjsError('SEAL_MISMATCH', `the image in ${file} has the seal ${computed}, and says ${seal}`, {
      next: 'do not use this file',
    });
  }
  const { name, version } = decodeLabels(image.config.Labels ?? {});
  const tag = formatTag(name, version, seal);
  const records = new Map(
    manifest.runs.map((id) => {
      const path = EXPORT_NAMES.run(id);
      const text = texts.get(path);
      if (text === undefined) throw invalidExport(`it has no ${path}`);
      const parse = (): RunRecord => store.parseRecord(text.toString(), `${file}: ${path}`, id);
      checkRecord(parse(), { seal, tag }, clock.now());
      return [id, parse] as const;
    }),
  );
  const statement = texts.get(EXPORT_NAMES.statement)?.toString() ?? null;
  return { open, manifest, config, image, layers, statement, records };
}

/** The manifest comes first: of what it does not name nothing is kept. */
async function readTexts(open: SealedExport['open']): Promise<{
  readonly manifest: ExportManifest;
  readonly list: string;
  readonly texts: ReadonlyMap<string, Buffer>;
}> {
  let manifest: ExportManifest | null = null;
  let list: string | null = null;
  let wanted: ReadonlySet<string> = new Set();
  let recordsBytes = 0;
  const texts = new Map<string, Buffer>();
  for await (const one of open()) {
    const { name } = one;
    const refuseTwice = (isThere: boolean): void => {
      if (isThere) throw invalidExport(`it has ${JSON.stringify(name)} twice`);
    };
    if (name === EXPORT_NAMES.manifest) {
      refuseTwice(manifest !== null);
      manifest = parseExportManifest((await readAtMost(one, EXPORT_LIMITS.manifestBytes)).toString());
      wanted = new Set([EXPORT_NAMES.statement, ...manifest.runs.map(EXPORT_NAMES.run)]);
    } else if (name === EXPORT_NAMES.images) {
      refuseTwice(list !== null);
      list = (await readAtMost(one, EXPORT_LIMITS.textBytes)).toString();
    } else if (wanted.has(name)) {
      refuseTwice(texts.has(name));
      recordsBytes += one.bytes;
      if (recordsBytes > EXPORT_LIMITS.recordsBytes) throw invalidExport('its records are too large');
      texts.set(name, await readAtMost(one, EXPORT_LIMITS.recordsBytes));
    }
  }
  if (manifest === null) throw invalidExport(`it has no ${EXPORT_NAMES.manifest}`);
  if (list === null) throw invalidExport(`it has no ${EXPORT_NAMES.images}`);
  return { manifest, list, texts };
}

async function readConfig(open: SealedExport['open'], name: string): Promise<string> {
  for await (const one of open()) {
    if (one.name === name) return (await readAtMost(one, EXPORT_LIMITS.textBytes)).toString();
  }
  throw invalidExport('it does not have the config of its image');
}

async function readAtMost(file: ArchiveFile, mostBytes: number): Promise<Buffer> {
  const bytes = await readBytes(file, mostBytes);
  if (bytes === null) throw invalidExport(`${JSON.stringify(file.name)} is too large`);
  return bytes;
}

/** What can be known of a record that anybody may have written. */
function checkRecord(record: RunRecord, of: Pick<RunRecord, 'seal' | 'tag'>, nowMs: number): void {
  const { id, seal, tag, createdAt, finishedAt } = record;
  const madeAt = timeOfUlid(id);
  if (seal !== of.seal || tag !== of.tag) throw invalidExport(`run ${id} is of another seal`);
  if (!isFinished(record) || finishedAt === null) throw invalidExport(`run ${id} is not over`);
  // Ids sort by their time: one from the future would be the newest for ever.
  if (madeAt > nowMs + CLOCK_SLACK_MS) throw invalidExport(`run ${id} has an id from the future`);
  if (Math.abs(Date.parse(createdAt) - madeAt) > CLOCK_SLACK_MS) {
    throw invalidExport(`run ${id} says that it was made at another time than its id`);
  }
}
