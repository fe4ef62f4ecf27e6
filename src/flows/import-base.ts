import semver from 'semver';
import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import { formatReference, formatRepository, parseReference } from '../model/reference.js';
import type { SigningKey } from '../model/signing-key.js';
import type { Registry } from '../ports/registry.js';
import type { Reporter } from '../ports/reporter.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';

/** What to import. */
export interface ImportRequest {
  /** Reference with a tag or digest. A tag is resolved once. */
  readonly source: string;
  /** Where it goes; its tag is the version, and without one the source's tag is. */
  readonly target: string;
  /** The key that signs the copy; null leaves it unsigned. */
  readonly key: SigningKey | null;
}

/** What importing needs of the world. */
export interface ImportTools {
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly reporter: Reporter;
}

/** A base as it lies in the target registry. */
export interface ImportedBase {
  /** `registry/path@digest` of the copy. */
  readonly reference: string;
  /** `registry/path` of the copy: what is signed as `repository`. */
  readonly repository: string;
  readonly digest: Digest;
  readonly version: string;
  /** PEM of the key that signed it; null when nobody did. */
  readonly publicKey: string | null;
}

/**
 * Mirrors a base by digest and signs it with its version and repository, which are what verify compares later.
 * @throws SjsError `REFERENCE_INVALID` when no version comes out of the references, what registry and cosign fail with.
 */
export async function importBase(
  request: ImportRequest,
  { registry, verifier, reporter }: ImportTools,
  signal?: AbortSignal,
): Promise<ImportedBase> {
  const source = parseReference(request.source);
  const wanted = parseReference(request.target);
  const pointer = source.digest ?? source.tag;
  if (pointer === undefined) throw invalid(request.source, 'it has neither a tag nor a digest');
  if (wanted.digest !== undefined)
    throw invalid(request.target, 'a target has a tag, its digest is the source’s');
  const version = wanted.tag ?? source.tag;
  if (version === undefined || semver.valid(version) !== version) {
    throw invalid(
      request.target,
      `${version ?? 'no tag'} is not a version; write the target as ${formatRepository(wanted)}:1.2.3`,
    );
  }
  const target = { registry: wanted.registry, path: wanted.path, tag: version };
  const repository = formatRepository(target);
  // A key that cannot sign is found before anything is copied.
  const publicKey = request.key === null ? null : await verifier.publicKey(request.key, signal);

  reporter.step('resolve', request.source);
  const { digest } = await registry.getManifest(source, pointer, signal);
  reporter.step('copy', `${formatRepository(source)}@${digest} to ${formatReference(target)}`);
  await registry.copy(source, digest, target, (message) => reporter.debug(message), signal);
  const stored = await registry.getManifest(target, version, signal);
  if (stored.digest !== digest) {
    throw new SjsError(
      'REGISTRY_DIGEST_MISMATCH',
      `${formatReference(target)} does not name what was copied there`,
      {
        cause: `expected ${digest}, found ${stored.digest}`,
        next: 'somebody else writes to that tag: import to another repository',
      },
    );
  }
  const reference = formatReference({ registry: target.registry, path: target.path, digest });
  if (request.key !== null) {
    reporter.step('sign', reference);
    await verifier.sign(
      { registry: target.registry, path: target.path, digest },
      request.key,
      { version, repository },
      signal,
    );
  }
  return { reference, repository, digest, version, publicKey };
}

function invalid(reference: string, why: string): SjsError {
  return new SjsError('REFERENCE_INVALID', `${JSON.stringify(reference)} cannot be imported: ${why}`, {
    next: 'sjs base import registry.example.com/node:24.2.0 my.registry.example.com/base/node:24.2.0',
  });
}
