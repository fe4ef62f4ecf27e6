import { createHash } from 'node:crypto';

/** `sha256:` and 64 lower-case hex digits, as in the OCI image specification; the one algorithm sjs accepts. */
export type Digest = `sha256:${string}`;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Whether the text is a digest in the one accepted form (no upper case, no other algorithm). */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && PATTERN.test(text);
}

/** Whether a value is a digest, or null for none. */
export const isDigestOrNull = (value: unknown): value is Digest | null => value === null || isDigest(value);

/** The sha256 digest of bytes, or of a text's UTF-8. */
export function sha256(data: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** The 64 hex digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** The first 12 hex digits: how tags and listings shorten a digest, as docker does. */
export function shortDigest(digest: Digest): string {
  return hexOf(digest).slice(0, 12);
}
