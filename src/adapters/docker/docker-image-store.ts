import type { Readable } from 'node:stream';
import type { Platform } from '../../model/base.js';
import { isDigest } from '../../model/digest.js';
import { formatReference } from '../../model/reference.js';
import { splitRuntimeConfig } from '../../model/runtime-config.js';
import type { ImageFacts } from '../../model/sealed-image.js';
import type { ImageStore } from '../../ports/image-store.js';
import type { RegistryCredentials } from '../../ports/registry.js';
import { readBuild, readPull } from './build-progress.js';
import type { DockerClient } from './client.js';
import { scanRootfs } from './scan-rootfs.js';

const CALL_MS = 10_000;
const PULL_MS = 10 * 60_000;
const BUILD_MS = 10 * 60_000;

/** The images of a Docker Engine, and BuildKit behind its API. */
export function createDockerImageStore(client: DockerClient): ImageStore {
  const { docker, call } = client;
  return {
    platform: async () => {
      const version = await call('version', CALL_MS, () => docker.version());
      return { os: version.Os, architecture: version.Arch };
    },

    inspect: async (reference) => {
      const found = await call('inspect image', CALL_MS, () => orNull(docker.getImage(reference).inspect()));
      return found && describeImage(found as unknown as InspectedImage);
    },

    pull: async (reference, credentials, onProgress) => {
      const name = formatReference(reference);
      await call('pull', PULL_MS, async () => {
        const stream = await docker.pull(
          name,
          credentials ? { authconfig: toAuthConfig(credentials, reference.registry) } : {},
        );
        await readPull(stream as Readable, name, onProgress);
      });
    },

    build: async (context, onProgress, signal) =>
      call('build', BUILD_MS, async () => {
        const stream = await docker.buildImage(context, {
          version: '2',
          networkmode: 'none',
          buildargs: { SOURCE_DATE_EPOCH: '0' },
          abortSignal: signal,
        } as never);
        return readBuild(stream as Readable, onProgress);
      }).finally(() => context.destroy()),

    tag: async (imageId, tag) => {
      const colon = tag.lastIndexOf(':');
      await call('tag', CALL_MS, () =>
        docker.getImage(imageId).tag({ repo: tag.slice(0, colon), tag: tag.slice(colon + 1) }),
      );
    },

    remove: async (reference) => {
      await call('remove image', CALL_MS, () =>
        orNull(docker.getImage(reference).remove({ noprune: false })),
      );
    },

    listLabelled: async (label) => {
      const images = await call('list images', CALL_MS, () =>
        docker.listImages({ filters: { label: [label] } }),
      );
      return images.map((image) => ({
        imageId: image.Id,
        tags: (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>'),
        sizeBytes: image.Size,
      }));
    },

    scanRootfs: (imageId, owner) => scanRootfs(client, imageId, owner),
  };
}

interface InspectedImage {
  readonly Id: string;
  readonly Os: string;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly RootFS: { readonly Layers?: readonly string[] };
  readonly Config: Readonly<Record<string, unknown>> | null;
  readonly RepoTags: readonly string[] | null;
  readonly Size: number;
}

/** What inspect says in our words. Pure: tested with recorded answers. */
export function describeImage(raw: InspectedImage): ImageFacts {
  const { config, unknownFields } = splitRuntimeConfig(raw.Config ?? {});
  const platform: Platform = {
    os: raw.Os,
    architecture: raw.Architecture,
    ...(raw.Variant && { variant: raw.Variant }),
  };
  const diffIds = (raw.RootFS.Layers ?? []).filter(isDigest);
  return {
    imageId: raw.Id,
    platform,
    diffIds,
    config,
    unknownConfigFields: unknownFields,
    tags: raw.RepoTags ?? [],
    sizeBytes: raw.Size,
  };
}

async function orNull<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return null;
    throw error;
  }
}

function toAuthConfig(credentials: RegistryCredentials, registry: string) {
  return {
    username: credentials.username ?? '',
    password: credentials.password ?? '',
    serveraddress: registry,
    ...(credentials.identityToken !== undefined && { identitytoken: credentials.identityToken }),
  };
}
