import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import type { RootfsFindings } from '../../model/base.js';
import type { Owner } from '../../model/record.js';
import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { ownerLabels } from './owner-labels.js';

const EXPORT_MS = 5 * 60_000;

/**
 * Hands over an image's file system by exporting a container that is never started: nothing of the image runs. It
 * carries the owner's labels, so that recovery removes it when this process is killed.
 */
export async function withRootfs<T>(
  { docker, call }: DockerClient,
  imageId: string,
  owner: Owner,
  use: (tar: Readable) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const container = await call(
    'create a container to look into',
    SLOW_CALL_MS,
    (abortSignal) =>
      docker.createContainer({
        abortSignal,
        Image: imageId,
        Entrypoint: ['/never-started'],
        Cmd: [],
        Labels: ownerLabels('scan', owner),
        HostConfig: { NetworkMode: 'none' },
      }),
    signal,
  );
  try {
    const read = async (abortSignal: AbortSignal) =>
      use((await container.export({ abortSignal })) as Readable);
    return await call('export the base', EXPORT_MS, read, signal);
  } finally {
    await call('remove a container', SLOW_CALL_MS, () => container.remove({ force: true, v: true }));
  }
}

/** Looks through an image's file system. */
export const scanRootfs = (
  client: DockerClient,
  imageId: string,
  owner: Owner,
  signal?: AbortSignal,
): Promise<RootfsFindings> => withRootfs(client, imageId, owner, readFindings, signal);

/** Folders the runtime mounts over, and those sjs puts its layer into: a link there would lead elsewhere. */
const MUST_BE_PLAIN = new Set(['dev', 'proc', 'sys', 'tmp', 'app', 'in', 'out', '.sjs']);

/** How an engine writes the attribute that holds them into a tar. */
const FILE_CAPABILITIES = 'SCHILY.xattr.security.capability';

/** Reads the findings from a tar of a root file system. Pure but for the stream. */
async function readFindings(tar: Readable): Promise<RootfsFindings> {
  const setuidFiles: string[] = [];
  const capabilityFiles: string[] = [];
  const worldWritableFolders: string[] = [];
  const notPlainFolders: string[] = [];
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  for await (const entry of entries) {
    const { name, type, mode, pax } = entry.header;
    const path = name.replace(/^\.?\//, '').replace(/\/$/, '');
    if (type === 'file' && (mode & 0o6000) !== 0) setuidFiles.push(`/${path}`);
    if (Object.hasOwn(pax ?? {}, FILE_CAPABILITIES)) capabilityFiles.push(`/${path}`);
    if (type === 'directory' && (mode & 0o002) !== 0 && (mode & 0o1000) === 0)
      worldWritableFolders.push(`/${path}`);
    if (MUST_BE_PLAIN.has(path) && type !== 'directory') notPlainFolders.push(`/${path}`);
    entry.resume();
  }
  return { setuidFiles, capabilityFiles, worldWritableFolders, notPlainFolders };
}
