import type { IncomingMessage, RequestOptions } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { isLoopback } from '../../model/loopback.js';
import { startDeadline, type Deadline } from './deadline.js';

/** What a request can carry. */
export type RequestBody = Buffer | URLSearchParams | AsyncIterable<Uint8Array>;

/** One request. `body` is asked anew for every attempt and calls `moved` while it flows. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: (moved: () => void) => RequestBody;
  /** Milliseconds for the answer and its body; of silence, where a body streams. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The answer: its head now, its body once, by one of `read`, `stream` and `discard`. */
export interface HttpAnswer {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: URL;
  readonly header: (name: string) => string | null;
  /** The whole body; `REGISTRY_INVALID_ANSWER` beyond `maxBytes`. */
  readonly read: (maxBytes: number) => Promise<Uint8Array>;
  readonly stream: () => AsyncGenerator<Uint8Array>;
  readonly discard: () => Promise<void>;
}

const MAX_REDIRECTS = 5;

/** Refuses plain HTTP to anything but this machine, and any way from elsewhere to this machine. */
export function checkUrl(url: URL, registry: string): void {
  const local = isLoopback(url.host);
  const allowed = url.protocol === 'https:' ? !local || isLoopback(registry) : isHttpAllowed(url, registry);
  if (allowed && url.username === '' && url.password === '') return;
  throw new SjsError(
    'REGISTRY_INVALID_ANSWER',
    `${registry} points to ${url.origin}, where sjs does not go`,
    {
      cause: 'plain http, this machine itself, or a password in an address',
      next: 'give the registry TLS; only registries on loopback are spoken to without',
    },
  );
}

const isHttpAllowed = (url: URL, registry: string): boolean =>
  url.protocol === 'http:' && isLoopback(url.host) && isLoopback(registry);

/**
 * Sends a request for `registry`. GET and HEAD follow redirects by hand, without `authorization` to another origin.
 * @throws SjsError `REGISTRY_UNREACHABLE`, `REGISTRY_INVALID_ANSWER`, `ABORTED`; status codes are the caller's.
 */
export async function sendHttp(registry: string, request: HttpRequest): Promise<HttpAnswer> {
  const deadline = startDeadline(request.timeoutMs, request.signal);
  try {
    let url = request.url;
    let headers: Record<string, string> = { 'accept-encoding': 'identity', ...request.headers };
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      checkUrl(url, registry);
      const body = request.body?.(deadline.extend);
      const response = await open(url, { method: request.method, headers, signal: deadline.signal }, body);
      const { location } = response.headers;
      const isRedirect =
        [301, 302, 303, 307, 308].includes(response.statusCode ?? 0) && location !== undefined;
      if (!isRedirect || request.body || !['GET', 'HEAD'].includes(request.method)) {
        return toAnswer(response, url, registry, deadline, request);
      }
      response.destroy();
      const target = resolveUrl(location, url, registry);
      if (target.origin !== url.origin) headers = without(headers, 'authorization');
      url = target;
    }
    throw new SjsError('REGISTRY_INVALID_ANSWER', `${registry} redirects more than ${MAX_REDIRECTS} times`, {
      next: 'ask whoever runs the registry',
    });
  } catch (error) {
    deadline.clear();
    throw explain(error, registry, deadline, request);
  }
}

/** The head of an answer. By Node's own client: loading `fetch` takes longer than all the requests of a build. */
async function open(url: URL, options: RequestOptions, body?: RequestBody): Promise<IncomingMessage> {
  const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  return new Promise((resolve, reject) => {
    const isForm = body instanceof URLSearchParams;
    const form = isForm ? { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' } : {};
    const sending = request(url, {
      ...options,
      headers: { ...form, ...options.headers },
    });
    sending.once('error', reject);
    sending.once('response', (response) => {
      // What breaks from here on is found by whoever reads the answer.
      sending.on('error', () => undefined);
      resolve(response);
    });
    if (body === undefined || body instanceof Buffer) sending.end(body);
    else if (isForm) sending.end(body.toString());
    else pipeline(body, sending).catch(reject);
  });
}

/** An address that the registry gave, relative to where it was given. */
export function resolveUrl(location: string, base: URL, registry: string): URL {
  try {
    return new URL(location, base);
  } catch (cause) {
    throw new SjsError(
      'REGISTRY_INVALID_ANSWER',
      `${registry} points to ${cleanText(location.slice(0, 200))}, which is no address`,
      { cause, next: 'ask whoever runs the registry' },
    );
  }
}

function toAnswer(
  response: IncomingMessage,
  url: URL,
  registry: string,
  deadline: Deadline,
  request: HttpRequest,
): HttpAnswer {
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        deadline.extend();
        yield chunk;
      }
    } catch (error) {
      throw explain(error, registry, deadline, request);
    } finally {
      deadline.clear();
    }
  }
  const read = async (maxBytes: number): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw tooLarge(registry, url, maxBytes);
        chunks.push(chunk);
      }
    } catch (error) {
      throw explain(error, registry, deadline, request);
    } finally {
      deadline.clear();
    }
    return Buffer.concat(chunks);
  };
  const discard = (): Promise<void> => {
    deadline.clear();
    // A short rest is read, so that the connection can serve the next request.
    const isShort =
      request.method === 'HEAD' || Number(response.headers['content-length'] ?? Infinity) < 65_536;
    if (isShort && !response.closed) {
      const patience = setTimeout(() => response.destroy(), request.timeoutMs).unref();
      response.resume().once('close', () => clearTimeout(patience));
    }
    if (!isShort) response.destroy();
    return Promise.resolve();
  };
  return {
    status: response.statusCode ?? 0,
    url,
    header: (name) => [response.headers[name.toLowerCase()]].flat().join(', ') || null,
    read,
    stream,
    discard,
  };
}

function tooLarge(registry: string, url: URL, maxBytes: number): SjsError {
  return new SjsError(
    'REGISTRY_INVALID_ANSWER',
    `${registry} sends more than ${maxBytes} bytes for ${url.pathname}`,
    {
      next: 'nothing of that kind is that large: ask whoever runs the registry',
    },
  );
}

function explain(error: unknown, registry: string, deadline: Deadline, request: HttpRequest): SjsError {
  if (error instanceof SjsError) return error;
  if (request.signal?.aborted) {
    return new SjsError('ABORTED', `the request to ${registry} was interrupted`, {
      cause: request.signal.reason,
    });
  }
  if (deadline.isPassed()) {
    return new SjsError(
      'REGISTRY_UNREACHABLE',
      `${registry} did not answer within ${request.timeoutMs / 1000} s`,
      {
        cause: error,
        next: 'check that the registry works, and the way to it',
      },
    );
  }
  return new SjsError('REGISTRY_UNREACHABLE', `${registry} cannot be reached`, {
    cause: error,
    next: 'check the name, that the registry runs, and the way to it',
  });
}

function without(headers: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key.toLowerCase() !== name));
}
