import { SjsError } from '../errors.js';
import { isDigest, type Digest } from './digest.js';
import { escapeUnprintable } from './sandbox.js';

/** A repository in a registry, without tag or digest: `registry.example.com/base/node`. */
export interface Repository {
  /** Host, with port if any. Docker's short names get `docker.io`, and `library/` where they have one part. */
  readonly registry: string;
  /** Path below the registry: `base/node`. */
  readonly path: string;
}

/** A tag of a repository. It can move: resolve it once, then use the digest. */
export interface TagReference extends Repository {
  readonly tag: string;
}

/** Content of a repository by digest. It cannot move. */
export interface DigestReference extends Repository {
  readonly digest: Digest;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const REGISTRY = new RegExp(`^(?:\\[[0-9a-fA-F:]+\\]|${LABEL}(?:\\.${LABEL})*)(?::[0-9]{1,5})?$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * Parses an image reference by the grammar of distribution/reference.
 * @throws SjsError `REFERENCE_INVALID` for anything else (credentials in it, upper case, other digest algorithms).
 */
export function parseReference(text: string): Repository & { tag?: string; digest?: Digest } {
  const fail = (why: string): SjsError =>
    new SjsError('REFERENCE_INVALID', `${quote(text)} is not an image reference: ${why}`, {
      next: 'write it as registry.example.com/path/name, with :tag or @sha256:<64 hex digits>',
    });
  if (text.length > 512) throw fail('it is longer than 512 characters');
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest))
    throw fail('the digest is not sha256: and 64 lower-case hex digits');
  const colon = name.lastIndexOf(':');
  const hasTag = colon > name.lastIndexOf('/');
  const tag = hasTag ? name.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) throw fail('the tag has characters that tags cannot have');
  const parts = (hasTag ? name.slice(0, colon) : name).split('/');
  const first = parts[0] ?? '';
  const named = parts.length > 1 && (/[.:]/.test(first) || first === 'localhost');
  const registry = named ? first : 'docker.io';
  if (!REGISTRY.test(registry)) throw fail('the registry is not a host name with an optional port');
  const names = named ? parts.slice(1) : parts;
  const rest = registry === 'docker.io' && names.length === 1 ? ['library', ...names] : names;
  if (!rest.every((part) => COMPONENT.test(part)))
    throw fail('the repository is not lower-case names separated by /');
  const path = rest.join('/');
  return { registry, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** Bounded, and nothing in it that a terminal or a reader would take for something else. */
function quote(text: string): string {
  return `${escapeUnprintable(JSON.stringify(text.slice(0, 200)))}${text.length > 200 ? '…' : ''}`;
}

/** `registry/path`. */
export function formatRepository(repository: Repository): string {
  return `${repository.registry}/${repository.path}`;
}

/** `registry/path:tag` or `registry/path@digest`. */
export function formatReference(reference: TagReference | DigestReference): string {
  return 'digest' in reference
    ? `${formatRepository(reference)}@${reference.digest}`
    : `${formatRepository(reference)}:${reference.tag}`;
}
