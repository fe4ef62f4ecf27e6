import { buffer } from 'node:stream/consumers';
import tar from 'tar-stream';
import { sha256, type Digest } from '../../src/model/digest.js';

/** A manifest or index with everything below it. */
export interface TinyImage {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly blobs: readonly Uint8Array[];
  readonly children: readonly TinyImage[];
}

/** What a tiny image is made of. */
export interface TinyImageOptions {
  /** Files of its one layer. */
  readonly files?: Readonly<Record<string, string>>;
  /** Its runtime config, in OCI's spelling. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
  /** Fields laid over the manifest, to make it wrong. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Fields laid over the config blob, to make it wrong. */
  readonly image?: Readonly<Record<string, unknown>>;
}

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

const toBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A descriptor of content. */
export const describeContent = (mediaType: string, bytes: Uint8Array): Record<string, unknown> => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
});

/** An image of one layer. The same options give the same digest. */
export async function makeTinyImage(options: TinyImageOptions = {}): Promise<TinyImage> {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(options.files ?? { 'etc/motd': 'hello\n' })) {
    pack.entry({ name, mtime: new Date(0) }, content);
  }
  pack.finalize();
  const layer = await buffer(pack);
  const config = toBytes({
    ...(options.platform ?? { os: 'linux', architecture: 'amd64' }),
    config: options.config ?? { Env: ['PATH=/usr/bin:/bin'] },
    rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    ...options.image,
  });
  const bytes = toBytes({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: describeContent(CONFIG, config),
    layers: [describeContent(LAYER, layer)],
    ...options.manifest,
  });
  return { digest: sha256(bytes), mediaType: MANIFEST, bytes, blobs: [config, layer], children: [] };
}

/** An index over images, each with the platform it is listed under. */
export function makeTinyIndex(
  entries: readonly { readonly image: TinyImage; readonly platform: Readonly<Record<string, string>> }[],
): TinyImage {
  const bytes = toBytes({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: entries.map(({ image, platform }) => ({
      ...describeContent(image.mediaType, image.bytes),
      platform,
    })),
  });
  return {
    digest: sha256(bytes),
    mediaType: INDEX,
    bytes,
    blobs: [],
    children: entries.map((entry) => entry.image),
  };
}

/** Pushes an image to a registry on loopback and returns its digest. */
export async function pushImage(host: string, path: string, tag: string, image: TinyImage): Promise<Digest> {
  for (const child of image.children) await pushImage(host, path, child.digest, child);
  for (const blob of image.blobs) {
    const opened = await send(`http://${host}/v2/${path}/blobs/uploads/`, { method: 'POST' }, 202);
    const target = new URL(opened.headers.get('location') ?? '', `http://${host}`);
    target.searchParams.set('digest', sha256(blob));
    const headers = { 'content-type': 'application/octet-stream' };
    await send(target.href, { method: 'PUT', headers, body: Buffer.from(blob) }, 201);
  }
  await putManifest(host, path, tag, image.mediaType, image.bytes);
  return image.digest;
}

/** Puts manifest bytes under a tag or digest, whatever was there. */
export async function putManifest(
  host: string,
  path: string,
  reference: string,
  mediaType: string,
  bytes: Uint8Array,
): Promise<void> {
  const headers = { 'content-type': mediaType };
  const url = `http://${host}/v2/${path}/manifests/${reference}`;
  await send(url, { method: 'PUT', headers, body: Buffer.from(bytes) }, 201);
}

/** A manifest as the registry has it, by tag or digest. */
export async function getManifest(
  host: string,
  path: string,
  reference: string,
): Promise<{ readonly mediaType: string; readonly bytes: Uint8Array }> {
  const accept = [MANIFEST, INDEX, 'application/vnd.docker.distribution.manifest.v2+json'].join(', ');
  const response = await fetch(`http://${host}/v2/${path}/manifests/${reference}`, { headers: { accept } });
  if (!response.ok) throw new Error(`${path}:${reference}: ${response.status}`);
  const mediaType = response.headers.get('content-type') ?? '';
  return { mediaType, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/** Puts a manifest of one repository into another under a tag, with the blobs that it names. */
export async function copyManifest(
  host: string,
  from: string,
  reference: string,
  to: string,
  tag: string,
): Promise<void> {
  const { mediaType, bytes } = await getManifest(host, from, reference);
  const { config, layers } = JSON.parse(Buffer.from(bytes).toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  for (const { digest } of [config, ...layers]) {
    const url = `http://${host}/v2/${to}/blobs/uploads/?mount=${digest}&from=${from}`;
    await send(url, { method: 'POST' }, 201);
  }
  await putManifest(host, to, tag, mediaType, bytes);
}

/** Makes a tiny image and pushes it. */
export async function pushTinyImage(
  host: string,
  path: string,
  tag: string,
  options: TinyImageOptions = {},
): Promise<Digest> {
  return pushImage(host, path, tag, await makeTinyImage(options));
}

async function send(url: string, init: RequestInit, expected: number): Promise<Response> {
  const response = await fetch(url, init);
  if (response.status !== expected) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  await response.body?.cancel();
  return response;
}
