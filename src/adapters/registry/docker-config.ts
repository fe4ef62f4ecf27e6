import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { RegistryCredentials } from '../../ports/registry.js';
import type { ProgramCall, ProgramResult } from '../process/run-program.js';
import { DOCKER_HUB } from './hosts.js';

/** Where Docker's configuration lies, and what its credential helpers need. */
export interface DockerConfigSource {
  /** `$DOCKER_CONFIG`, else `~/.docker`. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly run: (call: ProgramCall) => Promise<ProgramResult>;
}

interface DockerConfig {
  readonly auths?: Record<
    string,
    { auth?: string; username?: string; password?: string; identitytoken?: string }
  >;
  readonly credHelpers?: Record<string, string>;
  readonly credsStore?: string;
}

const HELPER_TIMEOUT_MS = 30_000;

/**
 * What Docker's configuration says for a registry, in Docker's order: the registry's own helper, the store of all,
 * what the file itself holds. Null when it says nothing.
 * @throws SjsError `FILE_UNREADABLE` for a config that is not JSON; `REGISTRY_UNAUTHORIZED` when a helper fails.
 */
export async function readDockerCredentials(
  registry: string,
  source: DockerConfigSource,
  signal?: AbortSignal,
): Promise<RegistryCredentials | null> {
  const config = await readConfig(join(source.directory, 'config.json'));
  const helper = config.credHelpers?.[registry] ?? config.credsStore;
  const fromHelper = helper ? await askHelper(helper, registry, source, signal) : null;
  return fromHelper ?? readAuths(config, registry);
}

async function readConfig(file: string): Promise<DockerConfig> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR')) return {};
    throw new SjsError('FILE_UNREADABLE', `${file} cannot be read as JSON`, {
      // A syntax error quotes the text, and the text may be a password.
      cause: isErrno(cause, 'EACCES') ? cause : 'invalid',
      next: 'repair it, or point DOCKER_CONFIG to another folder',
      location: { file },
    });
  }
}

function readAuths(config: DockerConfig, registry: string): RegistryCredentials | null {
  for (const [key, entry] of Object.entries(config.auths ?? {})) {
    if (hostOf(key) !== registry) continue;
    if (entry.identitytoken) return { identityToken: entry.identitytoken };
    const [username, ...password] = Buffer.from(entry.auth ?? '', 'base64')
      .toString('utf8')
      .split(':');
    const found = { username: entry.username || username, password: entry.password || password.join(':') };
    if (found.username) return { username: found.username, password: found.password };
  }
  return null;
}

/** `https://registry.example.com/v1/` and `registry.example.com` name the same registry. */
function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === `index.${DOCKER_HUB}` ? DOCKER_HUB : host;
}

async function askHelper(
  helper: string,
  registry: string,
  source: DockerConfigSource,
  signal?: AbortSignal,
): Promise<RegistryCredentials | null> {
  const program = `docker-credential-${helper}`;
  const result = await source.run({
    program,
    args: ['get'],
    env: source.env,
    path: source.env['PATH'] ?? '',
    input: registry === DOCKER_HUB ? `https://index.${DOCKER_HUB}/v1/` : registry,
    timeoutMs: HELPER_TIMEOUT_MS,
    signal,
  });
  if (result.exitCode === 0) {
    const { Username, Secret } = parseAnswer(result.stdout, program);
    return Username === '<token>' ? { identityToken: Secret } : { username: Username, password: Secret };
  }
  if (/credentials not found/i.test(result.stdout + result.stderr)) return null;
  throw helperFailed(
    program,
    result.missing
      ? 'it is not in PATH'
      : result.timedOut
        ? 'it did not answer'
        : `exit code ${result.exitCode}`,
  );
}

function parseAnswer(stdout: string, program: string): { Username: string; Secret: string } {
  try {
    const answer = JSON.parse(stdout) as { Username?: unknown; Secret?: unknown };
    if (typeof answer.Username === 'string' && typeof answer.Secret === 'string') {
      return { Username: answer.Username, Secret: answer.Secret };
    }
  } catch {
    // Its words may hold the secret: they are never quoted.
  }
  throw helperFailed(program, 'its answer is not what a credential helper says');
}

function helperFailed(program: string, why: string): SjsError {
  return new SjsError('REGISTRY_UNAUTHORIZED', `${program} gives no credentials: ${why}`, {
    next: 'install or repair it, or remove it from credHelpers and credsStore of Docker’s config.json',
  });
}
