import { isDigest, sha256, type Digest } from '../../model/digest.js';
import { INDEX_TYPES, MANIFEST_TYPES } from '../../model/media-types.js';
import { formatRepository, type Repository } from '../../model/reference.js';
import type { RawManifest } from '../../ports/registry.js';
import { apiUrl } from './hosts.js';
import { digestMismatch, expectStatus, pullScope, type RegistrySession } from './session.js';

/** Largest manifest or index, in bytes; what registries accept. */
const MAX_MANIFEST_BYTES = 4 * 1024 ** 2;

/** A manifest or index, its digest computed from the bytes and compared with all that was said about it. */
export async function fetchManifest(
  session: RegistrySession,
  repository: Repository,
  reference: string,
  signal?: AbortSignal,
): Promise<RawManifest> {
  const answer = await session.send(repository.registry, [pullScope(repository)], {
    method: 'GET',
    url: apiUrl(repository, `manifests/${encodeURIComponent(reference)}`),
    headers: { accept: [...INDEX_TYPES, ...MANIFEST_TYPES].join(', ') },
    timeoutMs: session.timeoutMs,
    signal,
  });
  const name = `${formatRepository(repository)}${isDigest(reference) ? '@' : ':'}${reference}`;
  await expectStatus(answer, [200], repository, name);
  const bytes = await answer.read(MAX_MANIFEST_BYTES);
  const digest = sha256(bytes);
  const claimed = answer.header('docker-content-digest');
  if (isDigest(reference) && digest !== reference) throw digestMismatch(name, reference, digest);
  if (isDigest(claimed) && digest !== claimed) throw digestMismatch(name, claimed, digest);
  const mediaType = (answer.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  return { digest, mediaType, bytes };
}

/** A blob of at most `maxBytes`, whole, its digest checked. */
export async function fetchBlob(
  session: RegistrySession,
  repository: Repository,
  digest: Digest,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const answer = await session.send(repository.registry, [pullScope(repository)], {
    method: 'GET',
    url: apiUrl(repository, `blobs/${digest}`),
    timeoutMs: session.timeoutMs,
    signal,
  });
  const name = `${formatRepository(repository)}@${digest}`;
  await expectStatus(answer, [200], repository, name);
  const bytes = await answer.read(maxBytes);
  if (sha256(bytes) !== digest) throw digestMismatch(name, digest, sha256(bytes));
  return bytes;
}
