import { isLoopback } from '../../model/loopback.js';
import type { Repository } from '../../model/reference.js';

/** The registry that Docker's short names mean. */
export const DOCKER_HUB = 'docker.io';

/** Address of `path` below a repository (`manifests/1.0.0`) in the distribution API. */
export function apiUrl(repository: Repository, path: string): URL {
  const { registry } = repository;
  // Docker's own registry answers its API under another name than the one that references use.
  const host = registry === DOCKER_HUB ? `registry-1.${DOCKER_HUB}` : registry;
  return new URL(`${isLoopback(registry) ? 'http' : 'https'}://${host}/v2/${repository.path}/${path}`);
}
