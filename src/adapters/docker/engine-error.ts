import { SjsError, type ErrorCode } from '../../errors.js';
import { escapeUnprintable } from '../../model/sandbox.js';
import { fieldsOf } from '../../model/fields.js';
import { textOf } from './answer.js';
import type { Endpoint } from './endpoint.js';

const UNREACHABLE = new Set(
  'ECONNREFUSED ENOENT EACCES EPERM ENOTSOCK ENOTFOUND EHOSTUNREACH ENETUNREACH EAI_AGAIN ECONNRESET EPIPE ETIMEDOUT'.split(
    ' ',
  ),
);

/** The engine's or the system's failure of one call, as an {@link SjsError} with that failure as its cause. */
export function toEngineError(name: string, error: unknown, endpoint: Endpoint): SjsError {
  const status = httpStatus(error);
  if (status !== null) {
    return new SjsError('ENGINE_FAILED', `the engine could not ${name}: ${cleanWords(wordsOf(error))}`, {
      cause: error,
    });
  }
  const where = endpoint.kind === 'unix' ? endpoint.socketPath : `${endpoint.host}:${endpoint.port}`;
  const { code, message } = describeFailure(error);
  const isTls = /CERT|TLS|SSL/.test(code);
  if (UNREACHABLE.has(code) || isTls || message === 'socket hang up') {
    return new SjsError('ENGINE_UNREACHABLE', `no Docker Engine answers at ${where} (${code || message})`, {
      cause: error,
      next: isTls
        ? 'check the certificates in DOCKER_CERT_PATH'
        : code === 'EACCES' || code === 'EPERM'
          ? 'join the group docker (`sudo usermod -aG docker $USER`, then log in again), or see `sjs doctor`'
          : 'start it (`sudo systemctl start docker`), or let DOCKER_HOST name where it listens',
    });
  }
  return new SjsError('ENGINE_FAILED', `the engine at ${where} could not ${name}: ${cleanWords(message)}`, {
    cause: error,
  });
}

function describeFailure(error: unknown): { readonly code: string; readonly message: string } {
  if (typeof error !== 'object' || error === null) return { code: '', message: String(error) };
  const { code, message } = error as { code?: unknown; message?: unknown };
  return { code: typeof code === 'string' ? code : '', message: typeof message === 'string' ? message : '' };
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
  return textOf(fieldsOf(json)['message']) ?? describeFailure(error).message;
}

const UNANSWERED = new Set<ErrorCode>(['ENGINE_TIMEOUT', 'ENGINE_UNREACHABLE', 'ABORTED']);

/** Whether no answer to a call came: then the engine may still carry it out. */
export const isUnanswered = (error: unknown): boolean =>
  error instanceof SjsError && UNANSWERED.has(error.code);
