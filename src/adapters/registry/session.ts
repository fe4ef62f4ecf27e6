import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { Repository } from '../../model/reference.js';
import type { SendAuthorized } from './authorization.js';
import type { HttpAnswer } from './http.js';

/** How the parts of the client talk to a registry. */
export interface RegistrySession {
  readonly send: SendAuthorized;
  readonly timeoutMs: number;
}

const MAX_ERROR_BYTES = 64 * 1024;

/** The scope of reading a repository. */
export const pullScope = (repository: Repository): string => `repository:${repository.path}:pull`;

/** Content that is not what its digest says. */
export function digestMismatch(name: string, expected: string, found: string): SjsError {
  return new SjsError('REGISTRY_DIGEST_MISMATCH', `the registry sent other content for ${name}`, {
    cause: `expected ${expected}, the bytes are ${found}`,
    next: 'do not use this registry before its owner has explained it',
  });
}

/**
 * Passes an answer with one of the statuses on; turns any other into the error it means.
 * @throws SjsError `BASE_NOT_FOUND` (404), `REGISTRY_UNREACHABLE` (429, 5xx), `REGISTRY_INVALID_ANSWER`.
 */
export async function expectStatus(
  answer: HttpAnswer,
  statuses: readonly number[],
  { registry }: Repository,
  name: string,
): Promise<void> {
  const { status } = answer;
  if (statuses.includes(status)) return;
  const text = await answer.read(MAX_ERROR_BYTES).catch(() => new Uint8Array());
  const words = cleanText(Buffer.from(text).toString('utf8').slice(0, 300));
  const cause = `${status} ${words}`.trim();
  if (status === 404) {
    throw new SjsError('BASE_NOT_FOUND', `${name} does not exist`, {
      cause,
      next: 'check the name, the tag and the digest',
    });
  }
  if (status === 429 || status >= 500) {
    throw new SjsError('REGISTRY_UNREACHABLE', `${registry} answers ${status} for ${name}`, {
      cause,
      next: 'try again later, or ask whoever runs the registry',
    });
  }
  throw new SjsError('REGISTRY_INVALID_ANSWER', `${registry} answers ${status} for ${name}`, {
    cause,
    next: 'check that this is a registry with the OCI distribution API',
  });
}
