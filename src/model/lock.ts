import { isDigest, type Digest } from './digest.js';
import { isFields } from './fields.js';
import { isSound, type ResolvedPackage } from './package-list.js';
import { escapeUnprintable } from './sandbox.js';
import { parseJson } from './parse-json.js';

/** `sandbox.lock`: what a sandbox.yaml resolved to. An input like any other: all of it is verified anew. */
export interface Lock {
  readonly lockVersion: 1;
  /** Format version of the seal it led to. */
  readonly formatVersion: number;
  readonly base: {
    /** `registry/path` */
    readonly image: string;
    readonly version: string | null;
    /** What the tag named: an index or a manifest; the digest that is signed. */
    readonly digest: Digest;
    /** Manifest digest by platform, as `linux/amd64`; one at least. */
    readonly manifests: Readonly<Record<string, Digest>>;
    /** Fingerprint of the key that signed it, or `IDENTITY (ISSUER)` of the certificate. */
    readonly signer: string;
  };
  readonly template: { readonly name: string; readonly digest: Digest };
  /** What is laid into the image, as `formatLockLines` writes it: a line each, by location. */
  readonly packages: Readonly<Record<string, string>>;
}

/** What a line of the lock says of the package at a location; null for a line that is none. */
export function parseLockLine(location: string, line: unknown): ResolvedPackage | null {
  const [, name = '', version = '', text = ''] = /^(@?[^@ ]+)@([^ ]{1,256}) (.+)$/.exec(String(line)) ?? [];
  const bundledIn = text.startsWith('in ') ? text.slice('in '.length) : null;
  const found = { location, name, version, integrity: bundledIn === null ? text : null, bundledIn };
  return isSound(found) ? found : null;
}

/** A copy with its keys in the order of their UTF-16 code units, whatever the locale is. */
export function sortKeys<T>(value: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Shape = { readonly [key: string]: Shape } | ((value: unknown) => boolean);

const matching =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value);

const mapping =
  (isEntry: (key: string, value: unknown) => boolean) =>
  (value: unknown): boolean =>
    isFields(value) && Object.entries(value).every(([key, item]) => isEntry(key, item));

/** A digest, or what an identity and an issuer can be. */
const isSigner = (value: unknown): boolean =>
  isDigest(value) || matching(/^[!-~]{1,2048} \(https:[!-~]{1,2048}\)$/)(value);

const PLATFORM = /^[a-z0-9]+(?:\/[a-z0-9]+){1,2}$/;

/** An image for more platforms than this has nobody made. */
const MOST_PLATFORMS = 32;

const isManifests = mapping((key, value) => PLATFORM.test(key) && isDigest(value));

const LOCK: Shape = {
  lockVersion: (value) => value === 1,
  formatVersion: (value) => Number.isSafeInteger(value),
  base: {
    image: matching(/^[!-~]{1,512}$/),
    version: (value) => value === null || matching(/^[\w.+-]{1,128}$/)(value),
    digest: isDigest,
    manifests: (value) => {
      const platforms = isManifests(value) ? Object.keys(value as object).length : 0;
      return platforms > 0 && platforms <= MOST_PLATFORMS;
    },
    signer: isSigner,
  },
  template: { name: matching(/^[!-~]{1,64}$/), digest: isDigest },
  packages: mapping((key, value) => parseLockLine(key, value) !== null),
};

/**
 * The lock in a text, or the first thing in it that no lock has: a key that is not known here would be a claim that
 * nobody checks, one that stands twice would show a reader another value than the one that counts. `packages: []` of
 * locks from before there were any reads as `{}`.
 */
export function parseLock(text: string): Lock | { readonly problem: string } {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return {
      problem: /^<{7}/m.test(text) ? 'has the marks of a merge conflict' : 'is not JSON',
    };
  }
  if (countKeys(value) !== countWrittenKeys(text)) return { problem: 'has a key twice' };
  if (isFields(value) && Array.isArray(value['packages']) && value['packages'].length === 0) {
    value = { ...value, packages: {} };
  }
  const problem = findProblem(LOCK, value, '');
  return problem === null ? (value as Lock) : { problem };
}

function findProblem(shape: Shape, value: unknown, path: string): string | null {
  const place = path === '' ? 'it' : path;
  if (typeof shape === 'function') return shape(value) ? null : `${place} is not what a lock has there`;
  if (!isFields(value)) return `${place} is not a mapping`;
  const foreign = Object.keys(value).find((key) => !Object.hasOwn(shape, key));
  const prefix = path === '' ? '' : `${path}.`;
  if (foreign !== undefined)
    return `has ${prefix}${escapeUnprintable(JSON.stringify(foreign.slice(0, 80)))}, which is not known`;
  for (const [key, inner] of Object.entries(shape)) {
    if (!Object.hasOwn(value, key)) return `${prefix}${key} is missing`;
    const problem = findProblem(inner, value[key], `${prefix}${key}`);
    if (problem !== null) return problem;
  }
  return null;
}

/** Without recursion: a lock may be as deep as it is long. */
function countKeys(whole: unknown): number {
  let count = 0;
  for (const open = [whole]; open.length > 0;) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) count += Object.keys(value).length;
    for (const item of Object.values(value)) open.push(item);
  }
  return count;
}

/** In valid JSON a string before a colon is a key, and nothing else is. */
function countWrittenKeys(text: string): number {
  let count = 0;
  for (const [, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g))
    if (colon !== undefined) count += 1;
  return count;
}
