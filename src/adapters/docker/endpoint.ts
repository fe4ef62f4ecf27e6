import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';

/** How the engine is reached: a socket of this machine, or TCP with TLS both ways. */
export type Endpoint =
  | { readonly kind: 'unix'; readonly socketPath: string }
  | {
      readonly kind: 'tls';
      readonly host: string;
      readonly port: number;
      /** Files, so that another process can be told of them without their content. */
      readonly caFile: string;
      readonly certFile: string;
      readonly keyFile: string;
    };

/** Where the search looks: the environment, and the user's home folder. */
export interface EndpointSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

const DEFAULT_HOST = 'unix:///var/run/docker.sock';

/**
 * Finds the engine as the docker command does: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the current context of
 * Docker's config.json, then the default socket.
 * @throws SjsError `NOT_YET` for ssh, `ENGINE_UNREACHABLE` for TCP without TLS or a context that cannot be read.
 */
export async function findEndpoint({ env, home }: EndpointSources): Promise<Endpoint> {
  const configDirectory = env['DOCKER_CONFIG'] || join(home, '.docker');
  const host = env['DOCKER_HOST'];
  if (host) {
    const verify = Boolean(env['DOCKER_TLS_VERIFY']);
    const certificates = env['DOCKER_CERT_PATH'] || configDirectory;
    return parseHost(host, verify ? certificates : null, 'DOCKER_HOST');
  }
  const context = env['DOCKER_CONTEXT'] || (await currentContext(configDirectory));
  return context && context !== 'default'
    ? readContext(configDirectory, context)
    : parseHost(DEFAULT_HOST, null, 'the default');
}

async function currentContext(configDirectory: string): Promise<string | null> {
  const file = join(configDirectory, 'config.json');
  const config = await readJson(file, 'optional');
  const name = config?.['currentContext'];
  return typeof name === 'string' ? name : null;
}

async function readContext(configDirectory: string, name: string): Promise<Endpoint> {
  const id = createHash('sha256').update(name).digest('hex');
  const what = `the Docker context ${JSON.stringify(name)}`;
  const meta = await readJson(join(configDirectory, 'contexts/meta', id, 'meta.json'), what);
  const endpoint = (meta?.['Endpoints'] as Record<string, Record<string, unknown>> | undefined)?.['docker'];
  const host = endpoint?.['Host'];
  if (typeof host !== 'string')
    throw refuse(`${what} names no engine`, 'docker context ls lists what there is');
  if (endpoint?.['SkipTLSVerify'] === true) {
    throw refuse(`${what} does not verify the engine's certificate`, 'create the context with its ca.pem');
  }
  return parseHost(host, join(configDirectory, 'contexts/tls', id, 'docker'), what);
}

function parseHost(text: string, certificates: string | null, source: string): Endpoint {
  if (text.startsWith('unix://')) {
    const socketPath = text.slice('unix://'.length) || DEFAULT_HOST.slice('unix://'.length);
    return { kind: 'unix', socketPath };
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'ssh:') {
    throw new SjsError('NOT_YET', `${source} names an engine over ssh, which sjs cannot reach yet`, {
      next: 'forward its socket with `ssh -L /path/docker.sock:/var/run/docker.sock` and use unix:///path/docker.sock',
    });
  }
  if (url?.protocol !== 'tcp:' || url.hostname === '') {
    throw refuse(
      `${source} is not an address of an engine: ${JSON.stringify(text)}`,
      'use unix:///path or tcp://host:port',
    );
  }
  if (certificates === null) {
    throw refuse(
      `${source} names an engine over TCP without TLS: whoever reaches that port is root there`,
      'set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use the unix socket',
    );
  }
  return {
    kind: 'tls',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 2376),
    caFile: join(certificates, 'ca.pem'),
    certFile: join(certificates, 'cert.pem'),
    keyFile: join(certificates, 'key.pem'),
  };
}

async function readJson(file: string, what: string): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch (error) {
    if (what === 'optional' && isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw refuse(
      `${what === 'optional' ? "Docker's config" : what} cannot be read: ${file}`,
      'mend or remove it',
      error,
    );
  }
}

function refuse(message: string, next: string, cause?: unknown): SjsError {
  return new SjsError('ENGINE_UNREACHABLE', message, { next, cause });
}
