import { addAbortSignal, type Readable } from 'node:stream';
import { SjsError } from '../../errors.js';
import type { Platform } from '../../model/base.js';
import { isDigest, type Digest } from '../../model/digest.js';
import { formatReference, parseReference } from '../../model/reference.js';
import { malformedFields, splitRuntimeConfig } from '../../model/runtime-config.js';
import type { ImageFacts } from '../../model/sealed-image.js';
import { fieldsOf } from '../../model/fields.js';
import type { ImageStore } from '../../ports/image-store.js';
import type { RegistryCredentials } from '../../ports/registry.js';
import { textsOf } from './answer.js';
import { readBuild, readLoad, readPull, readPush } from './build-progress.js';
import { BUILD_MS, CALL_MS, IMAGE_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { cleanWords, statusOf } from './engine-error.js';
import { readPlatform, readVersions } from './probe.js';

// As a number: dockerode opens a gRPC session for the text '2', which a build without build secrets does not need.
const BUILDKIT = 2 as unknown as '2';
const PULL_MS = 10 * 60_000;

/** The images of a Docker Engine, and BuildKit behind its API. */
export function createDockerImageStore(client: DockerClient): ImageStore {
  const { docker, call } = client;
  /** What is no name of an image would be another path of the engine's API (ATTACKS Y03). */
  const imageAt = (name: string): ReturnType<typeof docker.getImage> => {
    if (!isDigest(name)) parseReference(name);
    return docker.getImage(name);
  };
  return {
    platform: async (signal) => {
      const answer = await call('ask for its version', CALL_MS, () => docker.version(), signal);
      const platform = readPlatform(answer);
      if (platform) return platform;
      throw new SjsError('ENGINE_FAILED', 'the engine does not say which platform it is');
    },

    versions: async (signal) =>
      readVersions(await call('ask for its version', CALL_MS, () => docker.version(), signal)),

    watch: () => client.changes.images(),
    inspect: async (reference, signal) => {
      const found = await call(
        'inspect an image',
        CALL_MS,
        () => orNull(imageAt(reference).inspect()),
        signal,
      );
      return found && describeImage(found);
    },

    pull: async (reference, credentials, onProgress, signal) => {
      const name = formatReference(reference);
      const pull = async (abortSignal: AbortSignal): Promise<void> => {
        const authconfig = credentials ? toAuthConfig(credentials, reference.registry) : undefined;
        const stream = (await docker.pull(name, {
          abortSignal,
          ...(authconfig && { authconfig }),
        })) as unknown as Readable;
        await readPull(stream, name, onProgress);
      };
      await call(`pull ${name}`, PULL_MS, pull, signal);
    },

    push: async (target, credentials, onProgress, signal) => {
      const name = formatReference(target);
      const push = async (abortSignal: AbortSignal): Promise<Digest> => {
        // An engine that gets no credentials at all refuses to push.
        const authconfig = toAuthConfig(credentials ?? {}, target.registry);
        const stream = (await imageAt(name).push({ authconfig, abortSignal })) as Readable;
        return readPush(stream, name, onProgress);
      };
      return call(`push ${name}`, PULL_MS, push, signal);
    },

    build: async (openContext, tag, onProgress, signal) => {
      let context = openContext();
      const build = async (abortSignal: AbortSignal): Promise<string> => {
        const options = {
          version: BUILDKIT,
          t: tag,
          networkmode: 'none',
          buildargs: { SOURCE_DATE_EPOCH: '0' },
          abortSignal,
        } as const;
        return readBuild((await docker.buildImage(context, options)) as Readable, onProgress);
      };
      try {
        return await call('build', BUILD_MS, build, signal).catch(async (error: unknown) => {
          if (!isContextLost(error)) throw error;
          context.destroy();
          context = openContext();
          const { buildByCommand } = await import('./build-command.js');
          return buildByCommand(client, context, tag, signal);
        });
      } catch (error) {
        if (context.errored) throw context.errored;
        if (!(error instanceof SjsError) || error.code !== 'ENGINE_TIMEOUT') throw error;
        throw new SjsError('BUILD_TIMEOUT', `the build did not end within ${BUILD_MS / 60_000} minutes`, {
          cause: error,
          next: 'build again; if it stays so, sjs doctor says what the engine lacks',
        });
      } finally {
        context.destroy();
      }
    },

    tag: async (imageId, tag, signal) => {
      const colon = tag.lastIndexOf(':');
      const target = { repo: tag.slice(0, colon), tag: tag.slice(colon + 1) };
      await call(
        `tag ${tag}`,
        CALL_MS,
        (abortSignal) => imageAt(imageId).tag({ ...target, abortSignal }),
        signal,
      );
    },

    remove: async (tag, signal) => {
      const remove = (abortSignal: AbortSignal) => orNull(imageAt(tag).remove({ abortSignal }));
      try {
        await call(`remove ${tag}`, SLOW_CALL_MS, remove, signal);
        return true;
      } catch (error) {
        if (statusOf(error) === 409) return false;
        throw error;
      }
    },

    listTags: async (repository, signal) => {
      const list = (abortSignal: AbortSignal) =>
        docker.listImages({ filters: { reference: [repository] }, abortSignal });
      const found = await call('list images', CALL_MS, list, signal);
      return found.flatMap((image) => image.RepoTags ?? []).filter((tag) => tag.startsWith(`${repository}:`));
    },

    listLabelled: async (label, signal) => {
      const list = (abortSignal: AbortSignal) =>
        docker.listImages({ filters: { label: [label] }, abortSignal });
      const found = await call('list images', CALL_MS, list, signal);
      return describeListed(found);
    },

    // With containerd's store inspect says what is compressed; and filters know some names by others alone.
    unpackedBytes: async (imageId, digest, signal) => {
      const list = (abortSignal: AbortSignal) => docker.listImages({ abortSignal });
      const found = (await call('list images', CALL_MS, list, signal)).filter(
        ({ Id, RepoDigests }) => Id === imageId || RepoDigests?.some((name) => name.endsWith(`@${digest}`)),
      );
      return found.length === 0 ? null : Math.max(...found.map(({ Size }) => Size));
    },

    save: async (imageId, signal) => {
      const open = async (): Promise<Readable> => (await imageAt(imageId).get()) as Readable;
      const stream = await call('save the image', IMAGE_MS, open, signal);
      return signal ? addAbortSignal(signal, stream) : stream;
    },

    load: async (openArchive, signal) => {
      const archive = openArchive();
      const load = async (abortSignal: AbortSignal): Promise<void> => {
        const answer = (await docker.loadImage(archive, { quiet: true, abortSignal })) as Readable;
        await readLoad(answer);
      };
      try {
        await call('load the image', IMAGE_MS, load, signal);
      } catch (error) {
        throw archive.errored ?? error;
      } finally {
        archive.destroy();
      }
    },

    withLayer: async ({ imageId, diffIds }, diffId, use, signal) => {
      const { withLayer } = await import('./read-layer.js');
      const others = diffIds.filter((other) => other !== diffId);
      return withLayer(client, imageId, diffId, others, use, signal);
    },

    withRootfs: async (imageId, owner, use, signal) =>
      (await import('./scan-rootfs.js')).withRootfs(client, imageId, owner, use, signal),

    scanRootfs: async (imageId, owner, signal) =>
      (await import('./scan-rootfs.js')).scanRootfs(client, imageId, owner, signal),
  };
}

/** Such an engine hands BuildKit an address of the context that only a session could resolve. */
function isContextLost(error: unknown): boolean {
  return (
    error instanceof SjsError &&
    error.code === 'BUILD_FAILED' &&
    /Get "http:\/\/build-context-\w+"/.test(error.message)
  );
}

/**
 * What inspect says in our words. Pure: tested with recorded answers.
 * @throws SjsError `ENGINE_FAILED` for an answer that describes no image.
 */
export function describeImage(raw: unknown): ImageFacts {
  const { Id, Os, Architecture, Variant, RootFS, Config, RepoTags, Size } = fieldsOf(raw);
  const fail = (why: string): never => {
    throw new SjsError('ENGINE_FAILED', `what the engine says of ${describe(Id)} cannot be used: ${why}`);
  };
  if (typeof Id !== 'string' || Id === '') return fail('it has no id');
  if (typeof Os !== 'string' || typeof Architecture !== 'string') return fail('it names no platform');
  const diffIds = fieldsOf(RootFS)['Layers'] ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest)) return fail('its layers are no sha256 digests');
  const { config, unknownFields } = splitRuntimeConfig(fieldsOf(Config));
  const malformed = malformedFields(config);
  if (malformed.length > 0) return fail(`${malformed.join(', ')} of its config is not of its type`);
  const platform: Platform = {
    os: Os,
    architecture: Architecture,
    ...(typeof Variant === 'string' && Variant !== '' && { variant: Variant }),
  };
  return {
    imageId: Id,
    platform,
    diffIds,
    config,
    unknownConfigFields: unknownFields,
    tags: textsOf(RepoTags),
    sizeBytes: typeof Size === 'number' ? Size : 0,
  };
}

/** What a list of images says in our words; entries without an id are none. */
export function describeListed(
  answer: unknown,
): readonly Pick<ImageFacts, 'imageId' | 'tags' | 'sizeBytes'>[] {
  return (Array.isArray(answer) ? answer : []).map(fieldsOf).flatMap(({ Id, RepoTags, Size }) => {
    if (typeof Id !== 'string') return [];
    const tags = textsOf(RepoTags).filter((tag) => tag !== '<none>:<none>');
    return [{ imageId: Id, tags, sizeBytes: typeof Size === 'number' ? Size : 0 }];
  });
}

const describe = (id: unknown): string => (typeof id === 'string' ? cleanWords(id) : 'an image');

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
