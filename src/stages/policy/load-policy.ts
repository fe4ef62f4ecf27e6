import { constants, statSync } from 'node:fs';
import { lstat, open, realpath, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import { sha256 } from '../../model/digest.js';
import type { Policy, PolicyLayer } from '../../model/policy.js';
import { YAML_BYTES } from '../../model/yaml-document.js';
import type { ValidTexts } from '../../model/schema-check.js';
import { parsePolicy } from './parse-policy.js';

/** Where policy comes from. */
export interface PolicySources {
  /** Files of the machine and the user; those that are not there are passed over. */
  readonly operatorFiles: readonly string[];
  /** `--policy` or `SJS_POLICY`: must be there. */
  readonly explicitFile?: string;
  /** Folder of the sandbox: the nearest `.sjs/policy.yaml` from there upwards only tightens. Null: none. */
  readonly repositoryStart: string | null;
  /** Folder of the shipped profiles. */
  readonly profilesDirectory: string;
  readonly valid?: ValidTexts;
  /** What was parsed before, by file and content: kept by whoever loads more than once. */
  readonly known?: Map<string, PolicyLayer>;
}

/** From the strictest. */
const PROFILES = ['restricted', 'networked', 'browser'] as const;

/**
 * All layers that apply, none of them ever left out because it cannot be read (SPEC §4).
 * @throws SjsError `POLICY_UNREADABLE`, `POLICY_WRITABLE_BY_OTHERS`, `POLICY_INVALID`, `YAML_*`, `NOT_YET`.
 */
export async function loadPolicy(sources: PolicySources): Promise<Policy> {
  const files = [
    ...new Set([
      ...sources.operatorFiles,
      ...(sources.explicitFile === undefined ? [] : [sources.explicitFile]),
    ]),
  ];
  const read = await Promise.all(
    files.map((file) => readLayer(file, 'operator', file === sources.explicitFile, sources)),
  );
  const operator = read.flatMap((one) => (one ? [one] : []));
  const named = operator.flatMap(({ layer }) => (layer.extends ? [layer.extends] : []));
  const profile = PROFILES.find((name) => named.includes(name)) ?? 'restricted';
  const [shipped, repository] = await Promise.all([
    readLayer(join(sources.profilesDirectory, `${profile}.yaml`), 'profile', true, sources),
    sources.repositoryStart === null ? null : readRepositoryLayer(sources.repositoryStart, sources),
  ]);
  const all = [...operator, ...(shipped ? [shipped] : []), ...(repository ? [repository] : [])];
  return {
    layers: all.map(({ layer }) => layer),
    digest: sha256(all.map(({ bytes }) => sha256(bytes)).join('\n')),
  };
}

/** A file that was changed just now may change again within the same tick of the clock. */
const SETTLED_MS = 100;

/**
 * Says of the files without reading them what changes when they do; null when only reading can tell.
 * The repository's are not among them.
 */
export function stampPolicy(sources: Omit<PolicySources, 'repositoryStart'>): string | null {
  const { operatorFiles, explicitFile, profilesDirectory } = sources;
  const shipped = PROFILES.map((name) => join(profilesDirectory, `${name}.yaml`));
  const files = [...operatorFiles, ...(explicitFile === undefined ? [] : [explicitFile]), ...shipped];
  const now = Date.now();
  try {
    const stamps = files.map((file) => {
      const found = statSync(file, { bigint: true, throwIfNoEntry: false });
      if (!found) return null;
      if (now - Number(found.ctimeMs) < SETTLED_MS) throw new Error(`${file} was just changed`);
      return [found.dev, found.ino, found.size, found.mode, found.uid, found.ctimeNs].map(String);
    });
    return JSON.stringify(stamps);
  } catch {
    return null;
  }
}

/**
 * From where the policy of a repository is looked for: a folder, or that of a file. What is not there has no policy.
 * @throws SjsError `FILE_NOT_FOUND`
 */
export async function findStart(path: string): Promise<string> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new SjsError('FILE_NOT_FOUND', `there is no ${path}`, {
      cause,
      next: 'name a folder that is there',
    });
  });
  return resolve(found.isDirectory() ? path : dirname(path));
}

type Parsing = Pick<PolicySources, 'valid' | 'known'>;

interface ReadLayer {
  readonly layer: PolicyLayer;
  readonly bytes: Uint8Array;
}

async function readRepositoryLayer(start: string, parsing: Parsing): Promise<ReadLayer | null> {
  for (let folder = start; ; folder = dirname(folder)) {
    const found = await readLayer(join(folder, '.sjs/policy.yaml'), 'repository', false, parsing);
    if (found || folder === dirname(folder)) return found;
  }
}

async function readLayer(
  file: string,
  origin: PolicyLayer['origin'],
  isRequired: boolean,
  { valid, known }: Parsing,
): Promise<ReadLayer | null> {
  const bytes = await readBytes(file, origin, isRequired);
  if (!bytes) return null;
  const key = `${origin} ${sha256(bytes)} ${file}`;
  const layer = known?.get(key) ?? (await parsePolicy(bytes, file, origin, valid));
  known?.set(key, layer);
  return { layer, bytes };
}

async function readBytes(
  file: string,
  origin: PolicyLayer['origin'],
  isRequired: boolean,
): Promise<Uint8Array | null> {
  // A repository's file is its own: a link could make sjs read, and quote, something else of this machine.
  const follow = origin === 'repository' ? constants.O_NOFOLLOW : 0;
  let handle;
  try {
    // One descriptor for the check and the content: what is judged is what is read.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | follow);
  } catch (cause) {
    if (!isRequired && isErrno(cause, 'ENOENT', 'ENOTDIR') && !(await isDangling(file))) return null;
    throw new SjsError('POLICY_UNREADABLE', `the policy ${file} cannot be read: ${reasonOf(cause)}`, {
      cause,
      location: { file },
      next: 'restore it, or correct --policy or SJS_POLICY; without its policy sjs does nothing',
    });
  }
  try {
    const stats = await handle.stat();
    const bytes = stats.isFile() ? await readAtMost(handle, YAML_BYTES) : null;
    if (bytes === null) {
      throw new SjsError('POLICY_UNREADABLE', `the policy ${file} is not a plain file of at most 256 KiB`, {
        location: { file },
        next: 'put a policy file there, or correct --policy or SJS_POLICY',
      });
    }
    if (origin === 'operator') await refuseWritable(file, stats);
    return bytes;
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    throw new SjsError('POLICY_UNREADABLE', `the policy ${file} cannot be read: ${reasonOf(cause)}`, {
      cause,
      location: { file },
      next: 'run it again; the file changed meanwhile',
    });
  } finally {
    await handle.close();
  }
}

const reasonOf = (cause: unknown): string =>
  isErrno(cause, 'ELOOP', 'EMLINK')
    ? 'a link that is not followed'
    : ((cause as NodeJS.ErrnoException).code ?? 'the system refused');

/** Whether the file or its folder is a link to nothing: a policy that was there is not one that was never written. */
async function isDangling(file: string): Promise<boolean> {
  const links = await Promise.all(
    [file, dirname(file)].map(async (path) => {
      const isLink = (await lstat(path).catch(() => null))?.isSymbolicLink() ?? false;
      return isLink && (await stat(path).catch(() => null)) === null;
    }),
  );
  return links.includes(true);
}

/** The content; null when there is more of it. A size is no evidence: files of /proc have none. */
async function readAtMost(handle: FileHandle, limit: number): Promise<Uint8Array | null> {
  const buffer = Buffer.alloc(limit + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  return null;
}

interface Rights {
  readonly mode: number;
  readonly uid: number;
}

/**
 * A policy that others can write grants them everything: the file, and every folder above it (the link's and the
 * file's own) in which one of the names could be replaced.
 */
async function refuseWritable(file: string, stats: Rights): Promise<void> {
  const absolute = resolve(file);
  const real = await realpath(absolute);
  const folders = [...new Set([...foldersAbove(absolute), ...foldersAbove(real)])];
  const link = await lstat(absolute);
  const self = process.getuid?.() ?? stats.uid;
  const isOthers = ({ uid }: Rights): boolean => uid !== 0 && uid !== self;
  const isOpen = ({ mode }: Rights): boolean => (mode & 0o022) !== 0;
  const refuse = (message: string, next: string): SjsError =>
    new SjsError('POLICY_WRITABLE_BY_OTHERS', message, { location: { file }, next });
  if (isOpen(stats)) {
    throw refuse(
      `${file} can be written by others (mode ${(stats.mode & 0o777).toString(8)})`,
      `chmod go-w ${real}`,
    );
  }
  if (isOthers(stats) || isOthers(link)) {
    throw refuse(`${file} belongs to another user`, `look through it, then chown it to you: ${real}`);
  }
  for (const folder of folders) {
    const rights = await stat(folder);
    if (isOthers(rights) && [dirname(absolute), dirname(real)].includes(folder)) {
      throw refuse(
        `${file} can be replaced by another user, whose folder ${folder} is`,
        'move it to a folder of yours',
      );
    }
    const isSticky = (rights.mode & 0o1000) !== 0;
    if (isOpen(rights) && !isSticky) {
      throw refuse(
        `${file} can be replaced by others, who can write to the folder ${folder} (mode ${(rights.mode & 0o777).toString(8)})`,
        `chmod go-w ${folder}`,
      );
    }
  }
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}
