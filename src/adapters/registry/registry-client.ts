import { join } from 'node:path';
import type { Registry } from '../../ports/registry.js';
import { runProgram } from '../process/run-program.js';
import { createAuthorizedSender } from './authorization.js';
import { copyImage } from './copy-image.js';
import { readDockerCredentials } from './docker-config.js';
import { fetchBlob, fetchManifest } from './fetch-content.js';
import { listAllTags } from './list-tags.js';
import type { RegistrySession } from './session.js';

/** What a registry client takes from the machine. */
export interface RegistryClientOptions {
  /** The operator's environment: `DOCKER_CONFIG`, and what credential helpers need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder. */
  readonly home: string;
  /** Milliseconds that a registry may be silent; default 30 s. */
  readonly timeoutMs?: number;
}

/** A client of the OCI distribution API. Nothing is read or connected before the first call. */
export function createRegistry(options: RegistryClientOptions): Registry {
  const env = Object.fromEntries(
    Object.entries(options.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const source = {
    directory: env['DOCKER_CONFIG'] || join(options.home, '.docker'),
    env,
    run: runProgram,
  };
  const credentials: Registry['credentials'] = (registry, signal) =>
    readDockerCredentials(registry, source, signal);
  const session: RegistrySession = {
    send: createAuthorizedSender(credentials),
    timeoutMs: options.timeoutMs ?? 30_000,
  };
  return {
    credentials,
    listTags: (repository, signal) => listAllTags(session, repository, signal),
    getManifest: (repository, reference, signal) => fetchManifest(session, repository, reference, signal),
    getBlob: (repository, digest, maxBytes, signal) =>
      fetchBlob(session, repository, digest, maxBytes, signal),
    copy: (from, digest, to, onProgress, signal) => copyImage(session, from, digest, to, onProgress, signal),
  };
}
