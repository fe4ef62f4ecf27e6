import { readFile } from 'node:fs/promises';
import { Agent, type AgentOptions } from 'node:http';
import type Docker from 'dockerode';
import { SjsError } from '../../errors.js';
import { createChanges, type Changes } from './changes.js';
import { abortedError, toEngineError } from './engine-error.js';
import { findEndpoint, type Endpoint, type EndpointSources } from './endpoint.js';

/** Time limits of API calls, in milliseconds (ATTACKS X07). */
export const CALL_MS = 10_000;
/** The same for create, start and remove. */
export const SLOW_CALL_MS = 30_000;
/** For an image to come out of the engine or go in. */
export const IMAGE_MS = 10 * 60_000;
export const BUILD_MS = 10 * 60_000;

/** The engine's API, with a time limit and one family of errors around every call. */
export interface DockerClient {
  readonly docker: Docker;
  readonly endpoint: Endpoint;
  /** What happens to its containers and images. */
  readonly changes: Changes;
  /** Where the docker command is looked for when it is needed. */
  readonly programPath: string;
  /** TLS material for {@link endpoint}; null for a socket. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null;
  /**
   * Runs one API call and returns its answer. `make` should hand its signal to dockerode as `abortSignal`.
   * @param name what is being done, for messages: `create the container`
   * @throws SjsError `ENGINE_TIMEOUT`, `ENGINE_UNREACHABLE`, `ENGINE_FAILED` (see `statusOf`), `ABORTED`.
   */
  readonly call: <T>(
    name: string,
    timeoutMs: number,
    make: (signal: AbortSignal) => Promise<T>,
    abort?: AbortSignal,
  ) => Promise<T>;
}

/**
 * A client for the engine that `DOCKER_HOST` or Docker's contexts name. Connects with the first call.
 * @throws SjsError `ENGINE_UNREACHABLE`, `NOT_YET` for an address that cannot be used.
 */
export async function createDockerClient(sources: EndpointSources): Promise<DockerClient> {
  const endpoint = await findEndpoint(sources);
  const [{ default: DockerApi }, tls] = await Promise.all([import('dockerode'), readTls(endpoint)]);
  const docker = new DockerApi({
    // docker-modem fills what is absent from DOCKER_HOST; what is undefined it leaves alone.
    ...{ host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined },
    ...(endpoint.kind === 'unix'
      ? { protocol: 'http', socketPath: endpoint.socketPath, agent: new SocketAgent() }
      : { protocol: 'https', host: endpoint.host, port: endpoint.port, socketPath: undefined, ...tls }),
  });
  return {
    docker,
    endpoint,
    changes: createChanges(docker),
    programPath: sources.env['PATH'] ?? '',
    tls,
    call: (name, timeoutMs, make, abort) => callWithin(name, timeoutMs, make, endpoint, abort),
  };
}

/** Saves 4 ms a start: without a server name given, Node looks for one, and compiles regular expressions for that. */
class SocketAgent extends Agent {
  constructor() {
    super({ keepAlive: true, servername: '' } as AgentOptions);
  }
}

async function readTls(endpoint: Endpoint): Promise<DockerClient['tls']> {
  if (endpoint.kind === 'unix') return null;
  try {
    const files = [endpoint.caFile, endpoint.certFile, endpoint.keyFile];
    const [ca, cert, key] = await Promise.all(files.map((file) => readFile(file)));
    return { ca: ca!, cert: cert!, key: key! };
  } catch (cause) {
    throw new SjsError('ENGINE_UNREACHABLE', `the engine's TLS files cannot be read: ${String(cause)}`, {
      cause,
      next: 'DOCKER_CERT_PATH must hold ca.pem, cert.pem and key.pem',
    });
  }
}

async function callWithin<T>(
  name: string,
  timeoutMs: number,
  make: (signal: AbortSignal) => Promise<T>,
  endpoint: Endpoint,
  abort?: AbortSignal,
): Promise<T> {
  if (abort?.aborted) throw abortedError(name);
  const controller = new AbortController();
  let fail: (error: SjsError) => void = () => undefined;
  const stopped = new Promise<never>((_resolve, reject) => (fail = reject));
  const stop = (error: SjsError): void => {
    fail(error);
    controller.abort();
  };
  const timer = setTimeout(() => {
    stop(
      new SjsError('ENGINE_TIMEOUT', `the engine did not ${name} within ${timeoutMs / 1000} s`, {
        next: 'see whether it is overloaded or stuck: `docker info`, `sjs doctor`',
      }),
    );
  }, timeoutMs);
  const onAbort = (): void => stop(abortedError(name));
  abort?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([make(controller.signal), stopped]);
  } catch (error) {
    throw error instanceof SjsError ? error : toEngineError(name, error, endpoint);
  } finally {
    clearTimeout(timer);
    abort?.removeEventListener('abort', onAbort);
  }
}
