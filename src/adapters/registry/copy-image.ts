import { createHash } from 'node:crypto';
import { SjsError } from '../../errors.js';
import { isDigest, shortDigest, type Digest } from '../../model/digest.js';
import { INDEX_TYPES, MANIFEST_TYPES } from '../../model/media-types.js';
import { formatRepository, type Repository } from '../../model/reference.js';
import type { RawManifest } from '../../ports/registry.js';
import { fetchManifest } from './fetch-content.js';
import { apiUrl } from './hosts.js';
import { resolveUrl, sendHttp, type HttpRequest } from './http.js';
import { digestMismatch, expectStatus, pullScope, type RegistrySession } from './session.js';

interface Blob {
  readonly digest: Digest;
  readonly size: number;
}

/** One copy under way. */
interface Copy {
  readonly session: RegistrySession;
  readonly from: Repository;
  readonly to: Repository;
  readonly say: (message: string) => void;
  readonly signal: AbortSignal | undefined;
}

const BLOBS_AT_ONCE = 3;
const MAX_CHILDREN = 100;
/** A registry may take its time with a large blob once it has all of it. */
const UPLOAD_PATIENCE = 4;

/**
 * Copies a manifest, or an index with all it names, by digest, and tags it last. What the target has already stays.
 * Content is checked against its digest on the way.
 */
export async function copyImage(
  session: RegistrySession,
  from: Repository,
  digest: Digest,
  to: Repository & { readonly tag: string },
  onProgress: (message: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const copy: Copy = { session, from, to, say: onProgress, signal };
  const root = await fetchManifest(session, from, digest, signal);
  if (INDEX_TYPES.has(root.mediaType)) {
    for (const child of childrenOf(root, from)) {
      const manifest = await fetchManifest(session, from, child, signal);
      await copyManifest(copy, manifest);
      await putManifest(copy, manifest, manifest.digest);
    }
    await putManifest(copy, root, root.digest);
  } else {
    await copyManifest(copy, root);
  }
  await putManifest(copy, root, to.tag);
  onProgress(`${formatRepository(to)}:${to.tag} is ${digest}`);
}

/** The content that a manifest names. The manifest itself is put by the caller. */
async function copyManifest(copy: Copy, manifest: RawManifest): Promise<void> {
  const waiting = [...blobsOf(manifest, copy.from)];
  const stop = new AbortController();
  const signal = copy.signal ? AbortSignal.any([copy.signal, stop.signal]) : stop.signal;
  const workers = Array.from({ length: BLOBS_AT_ONCE }, async () => {
    try {
      for (let blob = waiting.shift(); blob; blob = waiting.shift())
        await copyBlob({ ...copy, signal }, blob);
    } catch (error) {
      stop.abort(error);
    }
  });
  await Promise.all(workers);
  if (stop.signal.aborted) throw stop.signal.reason as SjsError;
}

async function copyBlob(copy: Copy, blob: Blob): Promise<void> {
  const { session, from, to, say, signal } = copy;
  const name = `blob ${shortDigest(blob.digest)}`;
  const limits = { timeoutMs: session.timeoutMs, signal };
  const scopes = [`repository:${to.path}:pull,push`];
  const present = await session.send(to.registry, scopes, {
    ...limits,
    method: 'HEAD',
    url: apiUrl(to, `blobs/${blob.digest}`),
  });
  await present.discard();
  if (present.status === 200) return say(`${name} is there already`);

  const start = apiUrl(to, 'blobs/uploads/');
  const isMountable = from.registry === to.registry && from.path !== to.path;
  if (isMountable) {
    scopes.push(pullScope(from));
    start.searchParams.set('mount', blob.digest);
    start.searchParams.set('from', from.path);
  }
  const opened = await session.send(to.registry, scopes, { ...limits, method: 'POST', url: start });
  await expectStatus(opened, isMountable ? [201, 202] : [202], to, `${formatRepository(to)} (${name})`);
  await opened.discard();
  if (opened.status === 201) return say(`${name} mounted from ${from.path}`);

  const target = resolveUrl(opened.header('location') ?? '', opened.url, to.registry);
  target.searchParams.set('digest', blob.digest);
  await upload(copy, blob, target, scopes);
  say(`${name} copied, ${blob.size} bytes`);
}

async function upload(copy: Copy, blob: Blob, target: URL, scopes: readonly string[]): Promise<void> {
  const { session, from, to, signal } = copy;
  const name = `${formatRepository(from)}@${blob.digest}`;
  const source = await session.send(from.registry, [pullScope(from)], {
    method: 'GET',
    url: apiUrl(from, `blobs/${blob.digest}`),
    timeoutMs: session.timeoutMs,
    signal,
  });
  await expectStatus(source, [200], from, name);
  // The stream can be read once: a second attempt would send nothing.
  let failure: unknown;
  const request: HttpRequest = {
    method: 'PUT',
    url: target,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
    body: (moved) =>
      checked(source.stream(), blob, name, moved, (error) => {
        failure = error;
      }),
    timeoutMs: session.timeoutMs * UPLOAD_PATIENCE,
    signal,
  };
  try {
    const isSameHost = target.origin === apiUrl(to, '').origin;
    const answer = isSameHost
      ? await session.send(to.registry, scopes, request)
      : await sendHttp(to.registry, request);
    await expectStatus(answer, [201], to, `${formatRepository(to)}@${blob.digest}`);
    await answer.discard();
  } catch (error) {
    // What broke the body counts, not what the connection made of that.
    throw failure ?? error;
  } finally {
    await source.discard();
  }
}

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  blob: Blob,
  name: string,
  moved: () => void,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      moved();
      bytes += chunk.length;
      hash.update(chunk);
      if (bytes > blob.size) throw digestMismatch(name, `${blob.size} bytes`, 'longer');
      yield chunk;
    }
    const found = `sha256:${hash.digest('hex')}`;
    if (found !== blob.digest) throw digestMismatch(name, blob.digest, found);
  } catch (error) {
    onFailure(error);
    throw error;
  }
}

async function putManifest(copy: Copy, manifest: RawManifest, reference: string): Promise<void> {
  const { session, to, signal } = copy;
  const name = `${formatRepository(to)} ${reference}`;
  const answer = await session.send(to.registry, [`repository:${to.path}:pull,push`], {
    method: 'PUT',
    url: apiUrl(to, `manifests/${reference}`),
    headers: { 'content-type': manifest.mediaType },
    body: () => Buffer.from(manifest.bytes),
    timeoutMs: session.timeoutMs * UPLOAD_PATIENCE,
    signal,
  });
  await expectStatus(answer, [201], to, name);
  await answer.discard();
  const stored = answer.header('docker-content-digest');
  if (isDigest(stored) && stored !== manifest.digest) throw digestMismatch(name, manifest.digest, stored);
}

function childrenOf(index: RawManifest, from: Repository): readonly Digest[] {
  const { manifests } = parse(index, from);
  if (!Array.isArray(manifests) || manifests.length > MAX_CHILDREN) throw invalid(index, from);
  return [...new Set(manifests.map((entry) => blobOf(entry, index, from).digest))];
}

function blobsOf(manifest: RawManifest, from: Repository): readonly Blob[] {
  const { config, layers } = parse(manifest, from);
  if (!MANIFEST_TYPES.has(manifest.mediaType) || !Array.isArray(layers)) throw invalid(manifest, from);
  const blobs = [config, ...(layers as unknown[])].map((entry) => blobOf(entry, manifest, from));
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

function blobOf(entry: unknown, manifest: RawManifest, from: Repository): Blob {
  const { digest, size, urls } = (entry ?? {}) as { digest?: unknown; size?: unknown; urls?: unknown };
  const isForeign = Array.isArray(urls) && urls.length > 0;
  if (!isDigest(digest) || !Number.isSafeInteger(size) || Number(size) < 0 || isForeign) {
    throw invalid(manifest, from);
  }
  return { digest, size: Number(size) };
}

function parse(
  manifest: RawManifest,
  from: Repository,
): { config?: unknown; layers?: unknown; manifests?: unknown } {
  try {
    const value: unknown = JSON.parse(Buffer.from(manifest.bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // The same answer as for JSON that is no manifest.
  }
  throw invalid(manifest, from);
}

function invalid(manifest: RawManifest, from: Repository): SjsError {
  return new SjsError(
    'BASE_MANIFEST_INVALID',
    `${formatRepository(from)}@${manifest.digest} is no image manifest or index that sjs can copy`,
    { next: 'check the reference; foreign layers and nested indexes are not copied' },
  );
}
