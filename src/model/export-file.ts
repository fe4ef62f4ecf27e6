import { SjsError } from '../errors.js';
import { isDigest, type Digest } from './digest.js';
import { fieldsOf, listOf } from './fields.js';
import { formatRepository, parseReference } from './reference.js';
import { malformedFields, splitRuntimeConfig } from './runtime-config.js';
import type { ImageFacts, IndexEntry } from './sealed-image.js';
import { isUlid } from './ulid.js';
import { parseJson } from './parse-json.js';

/** Version of what sjs puts beside the image. */
export const EXPORT_FORMAT_VERSION = 1;

/** Names in an export. Everything else is the image, as the engine wrote it: an OCI archive that docker load takes too. */
export const EXPORT_NAMES = {
  manifest: 'sjs/export.json',
  run: (id: string): string => `sjs/runs/${id}.json`,
  blob: (digest: Digest): string => `sjs/blobs/${digest.slice('sha256:'.length)}`,
  /** The signed statement of the seal, where one is kept. */
  statement: 'sjs/statement.json',
  /** Docker's own list of what is in the archive. */
  images: 'manifest.json',
} as const;

/** What an export says of itself. A claim, until the image has been looked at. */
export interface ExportManifest {
  readonly formatVersion: number;
  readonly entry: Pick<IndexEntry, 'seal' | 'tag' | 'name' | 'version' | 'base' | 'createdAt'>;
  /** Ids of the runs that come with it. */
  readonly runs: readonly string[];
  /** Contents that those refer to. */
  readonly contents: readonly Digest[];
}

/** What one export holds at most: an import keeps no more in memory than this. */
export const EXPORT_LIMITS = {
  /** Runs, and contents. */
  entries: 100_000,
  manifestBytes: 16 * 1024 ** 2,
  /** Of all records together. */
  recordsBytes: 128 * 1024 ** 2,
  /** Of any other text. */
  textBytes: 4 * 1024 ** 2,
} as const;

type Fields = Readonly<Record<string, unknown>>;
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 1024;

/** A repository without tag or digest, as a reference begins. */
function isRepository(value: unknown): boolean {
  try {
    return isText(value) && formatRepository(parseReference(value)) === value;
  } catch {
    return false;
  }
}

/** Reads what an export says of itself, every field checked. Throws `IMPORT_INVALID`. */
export function parseExportManifest(text: string): ExportManifest {
  const value = readJson(text, EXPORT_NAMES.manifest);
  if (value['formatVersion'] !== EXPORT_FORMAT_VERSION) {
    throw invalidExport(`it is of format ${JSON.stringify(value['formatVersion'] ?? null)}`);
  }
  const entry = fieldsOf(value['entry']);
  const base = fieldsOf(entry['base']);
  const { runs, contents } = value;
  const isGood =
    isDigest(entry['seal']) &&
    isText(entry['name']) &&
    (entry['version'] === null || isText(entry['version'])) &&
    isText(entry['createdAt']) &&
    isRepository(base['image']) &&
    isDigest(base['digest']) &&
    isDigest(base['manifestDigest']) &&
    (base['version'] === null || isText(base['version'])) &&
    Array.isArray(runs) &&
    runs.length <= EXPORT_LIMITS.entries &&
    runs.every(isUlid) &&
    new Set(runs).size === runs.length &&
    Array.isArray(contents) &&
    contents.length <= EXPORT_LIMITS.entries &&
    contents.every(isDigest);
  if (!isGood) throw invalidExport(`${EXPORT_NAMES.manifest} is not what sjs writes`);
  return value as unknown as ExportManifest;
}

/** What Docker's list names: the one image's config, and its layers from the lowest on. */
export function parseImageList(text: string): {
  readonly config: string;
  readonly layers: readonly string[];
} {
  const list = readJson(`{"list":${text}}`, EXPORT_NAMES.images)['list'];
  const [image] = listOf(list);
  const { Config: config, Layers: layers } = image ?? {};
  if (!Array.isArray(list) || list.length !== 1 || !isText(config) || !Array.isArray(layers)) {
    throw invalidExport('it does not hold exactly one image');
  }
  if (layers.length === 0 || layers.length > 256 || !layers.every(isText)) {
    throw invalidExport('its layers are not named');
  }
  return { config, layers };
}

/** What an image with this config is (OCI image configuration): all that its seal covers. */
export function parseImageConfig(text: string): Pick<ImageFacts, 'platform' | 'diffIds' | 'config'> {
  const { os, architecture, variant, rootfs, config } = readJson(text, 'the config of its image');
  const diffIds = fieldsOf(rootfs)['diff_ids'];
  const split = splitRuntimeConfig(fieldsOf(config));
  const isGood =
    isText(os) &&
    isText(architecture) &&
    Array.isArray(diffIds) &&
    diffIds.every(isDigest) &&
    split.unknownFields.length === 0 &&
    malformedFields(split.config).length === 0;
  if (!isGood) throw invalidExport('the config of its image is none that sjs seals');
  const platform = { os, architecture, ...(isText(variant) && variant !== '' && { variant }) };
  return { platform, diffIds, config: split.config };
}

function readJson(text: string, what: string): Fields {
  try {
    return fieldsOf(parseJson(text));
  } catch (cause) {
    throw invalidExport(`${what} is not JSON`, cause);
  }
}

/** A file that is no export of sjs. */
export function invalidExport(why: string, cause?: unknown): SjsError {
  return new SjsError('IMPORT_INVALID', `this is no export of sjs that can be used: ${why}`, {
    cause,
    next: 'make it anew with sjs export, and copy it whole',
  });
}
