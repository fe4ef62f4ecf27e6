import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SjsError } from '../errors.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { sha256, type Digest } from '../model/digest.js';
import {
  EXPORT_NAMES,
  invalidExport,
  parseExportManifest,
  parseImageList,
  parseImageConfig,
  type ExportManifest,
} from '../model/export-file.js';
import { isFinished, type Owner, type RunRecord } from '../model/record.js';
import { computeSeal, FORMAT_VERSION, formatTag, type IndexEntry } from '../model/sealed-image.js';
import type { Clock } from '../ports/clock.js';
import type { Reporter } from '../ports/reporter.js';
import {
  readArchive,
  readText,
  streamArchive,
  textFile,
  type ArchiveFile,
} from '../stages/archive/write-archive.js';
import { checkLayer } from '../stages/archive/check-layer.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { contentsOf } from './export-image.js';
import type { TargetTools } from './find-target.js';
import { refuseTaken } from './build-sandbox.js';

/** What importing needs of the world. */
export interface ImportTools extends TargetTools {
  readonly clock: Clock;
  readonly reporter: Reporter;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
}

/** What came in. */
export interface ImportResult {
  readonly tag: string;
  readonly seal: string;
  /** Whether this SJS_HOME had made, or taken in, the seal before. */
  readonly wasKnown: boolean;
  /** Runs that were not here yet. */
  readonly runs: readonly string[];
}

const TEXT_BYTES = 4 * 1024 ** 2;
const RECORD_BYTES = 1024 ** 2;
/** Of everything that is read before any of it is believed: a hundred thousand records of the usual size. */
const ALL_TEXT_BYTES = 512 * 1024 ** 2;

/** What an export holds, read and not yet believed. */
interface Archive {
  readonly open: () => AsyncGenerator<ArchiveFile>;
  readonly manifest: ExportManifest;
  readonly config: string;
  readonly layers: readonly string[];
  readonly records: readonly RunRecord[];
}

/**
 * Takes a sealed image and its runs in. Every byte is somebody else's: the seal is computed from the archive before the
 * engine is given anything, and again from what the engine then has. A seal that this SJS_HOME did not make comes in
 * only when the operator types it (SPEC §2.2 knows signatures besides, which there are none of yet); its index entry and
 * the records of its runs say so.
 * @param trust the full seal that the operator vouches for; null for none
 * @throws SjsError `IMPORT_INVALID`, `SEAL_MISMATCH`, `SEAL_REFUSED`, `SEAL_UNTRUSTED`.
 */
export async function importImage(
  file: string,
  trust: string | null,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<ImportResult> {
  const archive = await readExport(resolve(file), tools);
  const { seal } = archive.manifest.entry;
  const computed = computeSeal(parseImageConfig(archive.config));
  if (computed !== seal) {
    throw new SjsError('SEAL_MISMATCH', `the image in ${file} has the seal ${computed}, and says ${seal}`, {
      next: 'do not use this file',
    });
  }
  const known = await tools.store.findImageBySeal(seal);
  if (!known && trust !== seal) throw untrusted(file, seal, trust);
  const entry = known ?? newEntry(archive.manifest, tools);
  // Lists show runs by their tags: one of another image would be taken for that one's.
  const stray = archive.records.find(({ tag }) => tag !== entry.tag);
  if (stray) throw invalidExport(`run ${stray.id} has the tag of another image`);
  await loadImage(archive, entry, tools, signal);
  const runs = await takeRuns(archive, tools);
  return { tag: entry.tag, seal, wasKnown: known !== null, runs };
}

function untrusted(file: string, seal: Digest, trust: string | null): SjsError {
  return new SjsError(
    'SEAL_UNTRUSTED',
    trust === null
      ? `the image in ${file} was not sealed here, and nobody vouches for its seal ${seal}`
      : `the image in ${file} has the seal ${seal}, and not ${trust}`,
    {
      next: `ask whoever sealed it for the seal (sjs images --json there); if it is the same, sjs import --trust ${seal} ${file}`,
    },
  );
}

/**
 * The entry of a seal that comes from elsewhere. Nothing that a later build could take for its own: its inputs are those
 * of no build.
 */
function newEntry({ entry }: ExportManifest, { clock }: ImportTools): IndexEntry {
  const now = new Date(clock.now()).toISOString();
  const { seal, name, version, base } = entry;
  return {
    formatVersion: FORMAT_VERSION,
    seal,
    tag: formatTag(name, version, seal),
    name,
    version,
    imageId: '',
    inputs: sha256(`imported\n${seal}`),
    base,
    createdAt: now,
    imported: { at: now, trustedBy: 'hand' },
  };
}

/** Makes the engine hold the image, unless it does; the index first, the tag last, as a build does. */
async function loadImage(
  archive: Archive,
  entry: IndexEntry,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<void> {
  const present = await tools.images.inspect(entry.tag, signal);
  if (present) {
    // Somebody else's image under this tag is not replaced.
    checkSeal(present, entry);
    if (await tools.store.findImageBySeal(entry.seal)) return;
  }
  const building = formatBuildingTag(await tools.owner(), tools.createId().toLowerCase());
  tools.reporter.step('import', `${entry.tag}, ${entry.seal}`);
  try {
    await tools.images.load(() => streamArchive(imageFiles(archive, building)), signal);
    const image = await tools.images.inspect(building, signal);
    checkSeal(image, entry);
    await refuseTaken(entry, tools.store);
    await tools.store.saveImage({ ...entry, imageId: image?.imageId ?? '' });
    if (image) await tools.images.tag(image.imageId, entry.tag, signal);
  } finally {
    await tools.images.remove(building).catch((error: unknown) => tools.reporter.debug(String(error)));
  }
}

/** The image and nothing else, under a tag of ours: the archive's own could name any image of the engine. */
async function* imageFiles(archive: Archive, tag: string): AsyncGenerator<ArchiveFile> {
  const layers = new Map(archive.layers.map((name, at) => [name, `layer-${at}.tar`]));
  const { diffIds } = parseImageConfig(archive.config);
  const list = [
    { Config: 'config.json', RepoTags: [tag], Layers: [...archive.layers.map((name) => layers.get(name))] },
  ];
  yield textFile('config.json', archive.config);
  yield textFile(EXPORT_NAMES.images, JSON.stringify(list));
  for await (const file of archive.open()) {
    const name = layers.get(file.name);
    const diffIdsOfIt = diffIds.filter((_, at) => archive.layers[at] === file.name);
    if (name === undefined) continue;
    yield { ...file, name, content: checkLayer(file.content, new Set(diffIdsOfIt)) };
  }
}

async function readExport(file: string, { store }: ImportTools): Promise<Archive> {
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
  const texts = new Map<string, string>();
  let bytes = 0;
  for await (const one of open()) {
    const isRun = one.name.startsWith('sjs/runs/');
    if (one.name !== EXPORT_NAMES.manifest && one.name !== EXPORT_NAMES.images && !isRun) continue;
    if (texts.has(one.name)) throw invalidExport(`it has ${JSON.stringify(one.name)} twice`);
    const text = await readText(one, isRun ? RECORD_BYTES : TEXT_BYTES);
    bytes += one.bytes;
    if (text === null || bytes > ALL_TEXT_BYTES) {
      throw invalidExport(`${JSON.stringify(one.name)} is too large`);
    }
    texts.set(one.name, text);
  }
  const textOf = (name: string): string => {
    const text = texts.get(name);
    if (text === undefined) throw invalidExport(`it has no ${name}`);
    return text;
  };
  const manifest = parseExportManifest(textOf(EXPORT_NAMES.manifest));
  const { config, layers } = parseImageList(textOf(EXPORT_NAMES.images));
  const records = manifest.runs.map((id) => {
    const name = EXPORT_NAMES.run(id);
    const record = store.parseRecord(textOf(name), `${file}: ${name}`, id);
    if (record.seal !== manifest.entry.seal) throw invalidExport(`run ${id} is of another seal`);
    if (!isFinished(record)) throw invalidExport(`run ${id} is not over`);
    return record;
  });
  let configText: string | null = null;
  for await (const one of open()) if (one.name === config) configText = await readText(one, TEXT_BYTES);
  if (configText === null) throw invalidExport('it does not have the config of its image');
  if (parseImageConfig(configText).diffIds.length !== layers.length) {
    throw invalidExport('it has other layers than the config of its image');
  }
  return { open, manifest, config: configText, layers, records };
}

/** Contents first: a record never refers to what was only on its way. A run that is here already stays as it is. */
async function takeRuns(archive: Archive, { store, clock }: ImportTools): Promise<readonly string[]> {
  const at = new Date(clock.now()).toISOString();
  const fresh: RunRecord[] = [];
  for (const record of archive.records) {
    const known = await store.findRecord(record.id).catch((error: unknown) => {
      if (error instanceof SjsError && error.code === 'RUN_NOT_FOUND') return null;
      throw error;
    });
    if (!known) fresh.push(record);
  }
  const wanted = new Map(
    fresh.flatMap(contentsOf).map(({ digest }) => [EXPORT_NAMES.blob(digest), digest] as const),
  );
  for await (const { name, content } of archive.open()) {
    const digest = wanted.get(name);
    if (digest === undefined) continue;
    const writer = await store.createBlob();
    try {
      for await (const chunk of content) await writer.write(chunk);
      const written = await writer.commit();
      if (written.digest !== digest)
        throw invalidExport(`${name} does not have the content its name promises`);
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }
  for (const record of fresh) await store.saveRecord({ ...record, imported: { at } });
  return fresh.map(({ id }) => id);
}
