import { SjsError } from '../errors.js';
import { formatRepository, parseReference } from './reference.js';
import type { BaseRequest } from './sandbox.js';

/**
 * `repo:version` or `repo@digest` as a request for exactly that.
 * @throws SjsError `BASE_NOT_PINNED` for one that has neither
 */
export function parseBaseRequest(text: string): BaseRequest {
  const reference = parseReference(text);
  const image = formatRepository(reference);
  if (reference.digest) return { image, digest: reference.digest };
  if (reference.tag) return { image, version: `=${reference.tag}` };
  throw new SjsError('BASE_NOT_PINNED', `${text} has neither a version nor a digest`, {
    next: `write ${text}:<version> or ${text}@sha256:…`,
  });
}
