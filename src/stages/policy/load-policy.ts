import { constants } from 'node:fs';
import { lstat, open, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import { sha256 } from '../../model/digest.js';
import type { Policy, PolicyLayer } from '../../model/policy.js';
import { YAML_BYTES } from '../../model/yaml-document.js';
import { parsePolicy, type ValidTexts } from './parse-policy.js';

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
    files.map((file) => readLayer(file, 'operator', file === sources.explicitFile, sources.valid)),
  );
  const operator = read.flatMap((one) => (one ? [one] : []));
  const named = operator.flatMap(({ layer }) => (layer.extends ? [layer.extends] : []));
  const profile = PROFILES.find((name) => named.includes(name)) ?? 'restricted';
  const [shipped, repository] = await Promise.all([
    readLayer(join(sources.profilesDirectory, `${profile}.yaml`), 'profile', true, sources.valid),
    sources.repositoryStart === null ? null : readRepositoryLayer(sources.repositoryStart, sources.valid),
  ]);
  const all = [...operator, ...(shipped ? [shipped] : []), ...(repository ? [repository] : [])];
  return {
    layers: all.map(({ layer }) => layer),
    digest: sha256(all.map(({ bytes }) => sha256(bytes)).join('\n')),
  };
}

interface ReadLayer {
  readonly layer: PolicyLayer;
  readonly bytes: Uint8Array;
}

async function readRepositoryLayer(start: string, valid?: ValidTexts): Promise<ReadLayer | null> {
  for (let folder = start; ; folder = dirname(folder)) {
    const found = await readLayer(join(folder, '.sjs/policy.yaml'), 'repository', false, valid);
    if (found || folder === dirname(folder)) return found;
  }
}

async function readLayer(
  file: string,
  origin: PolicyLayer['origin'],
  isRequired: boolean,
  valid?: ValidTexts,
): Promise<ReadLayer | null> {
  const bytes = await readBytes(file, origin, isRequired);
  return bytes && { layer: await parsePolicy(bytes, file, origin, valid), bytes };
}

async function readBytes(
  file: string,
  origin: PolicyLayer['origin'],
  isRequired: boolean,
): Promise<Uint8Array | null> {
  let handle;
  try {
    // One descriptor for the check and the content: what is judged is what is read.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (!isRequired && isErrno(cause, 'ENOENT', 'ENOTDIR')) return null;
    throw new SjsError(
      'POLICY_UNREADABLE',
      `the policy ${file} cannot be read: ${isErrno(cause) ? cause.code : String(cause)}`,
      {
        cause,
        location: { file },
        next: 'restore it, or correct --policy or SJS_POLICY; without its policy sjs does nothing',
      },
    );
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || stats.size > YAML_BYTES) {
      throw new SjsError('POLICY_UNREADABLE', `the policy ${file} is not a plain file of at most 256 KiB`, {
        location: { file },
      });
    }
    if (origin === 'operator') await refuseWritable(file, stats);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** A policy that others can write grants them everything: the file, and the folder in which it could be replaced. */
async function refuseWritable(
  file: string,
  stats: { readonly mode: number; readonly uid: number },
): Promise<void> {
  const real = await realpath(file);
  const [folder, link] = await Promise.all([stat(dirname(real)), lstat(file)]);
  const self = process.getuid?.() ?? stats.uid;
  const isOthers = (uid: number): boolean => uid !== 0 && uid !== self;
  const isSticky = (folder.mode & 0o1000) !== 0;
  const problem =
    (stats.mode & 0o022) !== 0
      ? `${file} can be written by others (mode ${(stats.mode & 0o777).toString(8)})`
      : isOthers(stats.uid) || isOthers(link.uid)
        ? `${file} belongs to another user`
        : (folder.mode & 0o022) !== 0 && !isSticky
          ? `the folder of ${file} can be written by others (mode ${(folder.mode & 0o777).toString(8)})`
          : undefined;
  if (problem === undefined) return;
  throw new SjsError('POLICY_WRITABLE_BY_OTHERS', problem, {
    location: { file },
    next: `chmod go-w ${file} ${dirname(file)}`,
  });
}
