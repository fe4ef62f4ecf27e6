import { SjsError } from '../../errors.js';
import type { Platform } from '../../model/base.js';
import { isDigest, type Digest } from '../../model/digest.js';
import { CONFIG_TYPES, INDEX_TYPES, LAYER_TYPES, MANIFEST_TYPES } from '../../model/media-types.js';
import type { RawManifest } from '../../ports/registry.js';
import { parseJson } from '../../model/parse-json.js';

/** What an index names: one manifest a platform. */
export interface ImageIndex {
  readonly kind: 'index';
  readonly entries: readonly { readonly digest: Digest; readonly platform: Platform | null }[];
}

/** One image: its config and its layers. */
export interface ImageManifest {
  readonly kind: 'manifest';
  readonly config: { readonly digest: Digest; readonly bytes: number };
  readonly layers: number;
  /** Sum of the layers as they lie in the registry. */
  readonly compressedBytes: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Docker's limit; and no index comes near it either. */
const MAX_LAYERS = 127;
const MAX_ENTRIES = 1000;

/**
 * Reads a manifest or an index. What could be read as both is refused (CVE-2021-41190), and so are media types that
 * disagree, foreign layers and everything that is not an image (ATTACKS B16).
 * @throws SjsError `BASE_MANIFEST_INVALID` with what is wrong.
 */
export function readManifest(raw: RawManifest, name: string): ImageIndex | ImageManifest {
  const fail = (why: string): never => {
    throw new SjsError('BASE_MANIFEST_INVALID', `the manifest of ${name} is refused: ${why}`, {
      next: 'use an image that was pushed by docker or another tool that follows the OCI image specification',
    });
  };
  const fields = parseFields(raw.bytes) ?? fail('it is not a JSON object');
  if (fields['schemaVersion'] !== 2) fail('schemaVersion is not 2');
  const stated = fields['mediaType'];
  if (stated !== undefined && stated !== raw.mediaType) fail('its mediaType is not the one it was sent as');
  if ('manifests' in fields && ('layers' in fields || 'config' in fields || 'fsLayers' in fields)) {
    fail('it is an index and an image at once');
  }
  if (INDEX_TYPES.has(raw.mediaType)) return readIndex(fields, fail);
  if (MANIFEST_TYPES.has(raw.mediaType)) return readImage(fields, fail);
  return fail(`media type ${JSON.stringify(raw.mediaType.slice(0, 100))} is no image manifest or index`);
}

function readIndex({ manifests }: Fields, fail: (why: string) => never): ImageIndex {
  if (!Array.isArray(manifests) || manifests.length > MAX_ENTRIES) return fail('manifests is not a list');
  const entries = manifests.map((entry: unknown) => {
    const { digest, mediaType, platform } = toFields(entry) ?? fail('an entry is not an object');
    if (!isDigest(digest)) return fail('the digest of an entry is not sha256');
    // Attestations and nested indexes have a place in an index, but are nothing to build from.
    const isImage = typeof mediaType === 'string' && MANIFEST_TYPES.has(mediaType);
    return { digest, platform: isImage ? readPlatform(platform) : null };
  });
  return { kind: 'index', entries };
}

function readPlatform(value: unknown): Platform | null {
  const { os, architecture, variant } = toFields(value) ?? {};
  if (typeof os !== 'string' || typeof architecture !== 'string') return null;
  return { os, architecture, ...(typeof variant === 'string' && variant !== '' && { variant }) };
}

function readImage({ config, layers }: Fields, fail: (why: string) => never): ImageManifest {
  const descriptor = readDescriptor(config, CONFIG_TYPES, 'config', fail);
  if (!Array.isArray(layers) || layers.length === 0) return fail('it has no layers');
  if (layers.length > MAX_LAYERS)
    return fail(`it has ${layers.length} layers, at most ${MAX_LAYERS} are possible`);
  const sizes = layers.map((layer: unknown) => readDescriptor(layer, LAYER_TYPES, 'layer', fail).bytes);
  return {
    kind: 'manifest',
    config: descriptor,
    layers: sizes.length,
    compressedBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

function readDescriptor(
  value: unknown,
  types: ReadonlySet<string>,
  what: string,
  fail: (why: string) => never,
): { digest: Digest; bytes: number } {
  const { mediaType, digest, size, urls } = toFields(value) ?? fail(`a ${what} is not an object`);
  if (typeof mediaType !== 'string' || !types.has(mediaType))
    return fail(`the media type of a ${what} is not known`);
  if (!isDigest(digest)) return fail(`the digest of a ${what} is not sha256`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    return fail(`a ${what} has no size`);
  if (Array.isArray(urls) ? urls.length > 0 : urls !== undefined && urls !== null) {
    return fail(`a ${what} lies outside the registry (urls)`);
  }
  return { digest, bytes: size };
}

/** The object that JSON bytes hold, or null. */
export function parseFields(bytes: Uint8Array): Fields | null {
  try {
    return toFields(parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)));
  } catch {
    return null;
  }
}

/** The value as an object, or null. */
export function toFields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}
