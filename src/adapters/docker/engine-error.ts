import { isErrno, SjsError } from '../../errors.js';
import { escapeUnprintable } from '../../model/sandbox.js';
import type { Endpoint } from './endpoint.js';

const UNREACHABLE = ['ECONNREFUSED', 'ENOENT', 'EACCES', 'EPERM', 'ENOTSOCK', 'ENOTFOUND', 'EHOSTUNREACH'];
const BROKEN = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENETUNREACH', 'EAI_AGAIN'];

/** The engine's or the system's failure of one call, as an {@link SjsError} with that failure as its cause. */
export function toEngineError(name: string, error: unknown, endpoint: Endpoint): SjsError {
  const status = httpStatus(error);
  if (status !== null) {
    return new SjsError('ENGINE_FAILED', `the engine could not ${name}: ${cleanWords(wordsOf(error))}`, {
      cause: error,
    });
  }
  const where = endpoint.kind === 'unix' ? endpoint.socketPath : `${endpoint.host}:${endpoint.port}`;
  if (
    isErrno(error, ...UNREACHABLE, ...BROKEN) ||
    (error instanceof Error && /socket hang up/.test(error.message))
  ) {
    const why = isErrno(error) ? error.code : 'it closed the connection';
    return new SjsError('ENGINE_UNREACHABLE', `no Docker Engine answers at ${where} (${why})`, {
      cause: error,
      next: isErrno(error, 'EACCES', 'EPERM')
        ? 'join the group docker (`sudo usermod -aG docker $USER`, then log in again), or see `sjs doctor`'
        : 'start it (`sudo systemctl start docker`), or see `sjs doctor`',
    });
  }
  const words = error instanceof Error ? error.message : String(error);
  const isTls = error instanceof Error && 'code' in error && /CERT|TLS|SSL/.test(String(error.code));
  return new SjsError(
    isTls ? 'ENGINE_UNREACHABLE' : 'ENGINE_FAILED',
    `the engine at ${where} could not ${name}: ${cleanWords(words)}`,
    { cause: error, ...(isTls && { next: 'check the certificates in DOCKER_CERT_PATH' }) },
  );
}

/** The HTTP status with which the engine refused, or null for every other error. */
export function statusOf(error: unknown): number | null {
  return httpStatus(error instanceof SjsError ? error.cause : error);
}

/** What is thrown when the caller's signal stopped a call. */
export function abortedError(name: string): SjsError {
  return new SjsError('ABORTED', `stopped before the engine could ${name}`);
}

/** Foreign words in one line, without control characters, at most 1000 characters. */
export function cleanWords(text: string): string {
  return escapeUnprintable(text.slice(0, 1000).replace(/\s+/g, ' ').trim());
}

function httpStatus(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return null;
  return typeof error.statusCode === 'number' ? error.statusCode : null;
}

function wordsOf(error: unknown): string {
  const { json } = error as { json?: unknown };
  if (typeof json === 'object' && json !== null && 'message' in json) return String(json.message);
  return error instanceof Error ? error.message : String(error);
}
