import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { baseNameOf } from '../model/base-name.js';
import type { Lock } from '../model/lock.js';
import { sha256, type Digest } from '../model/digest.js';
import { splitCommand } from '../model/split-command.js';
import type { Policy } from '../model/policy.js';
import type { SealedPlan } from '../model/run-plan.js';
import { DEFAULT_RESOURCES, type BaseRequest, type LoadedSandbox, type Sandbox } from '../model/sandbox.js';
import { SOURCE_LIMITS, type SourceEntry, type SourceTree } from '../model/source-tree.js';
import type { Memory } from '../ports/memory.js';
import type { Reporter } from '../ports/reporter.js';
import { collectInputs, collectSource, type CollectLimits } from '../stages/collect/collect-source.js';
import { readLock } from '../stages/lock/lock-file.js';
import { defaultBase, defaultResources, effectiveLimits } from '../stages/policy/effective-policy.js';
import { programCommand } from '../stages/render/program-command.js';
import { planOf } from '../stages/render/render-dockerfile.js';
import { findLocked } from '../stages/resolve/resolve-base.js';
import { stripProgram } from './strip-program.js';

/** What comparing files with something needs of the world: no engine and no registry. */
export interface DeclaredTools {
  readonly reporter: Reporter;
  readonly stripped: Memory;
  readonly forbiddenSources: CollectLimits['forbidden'];
  /** The policy in force for a folder. */
  readonly loadPolicy: (directory: string) => Promise<Policy>;
  readonly seccompProfile: () => Promise<string>;
}

/** What a sandbox.yaml and the sandbox.lock beside it say. Nothing of it is verified: a build does that. */
export interface DeclaredSandbox {
  readonly file: string;
  readonly plan: SealedPlan;
  readonly base: ReadonlyMap<string, unknown>;
  readonly packages: Lock['packages'];
  readonly program: ReadonlyMap<string, unknown>;
  readonly env: Readonly<Record<string, string>>;
  /** Whether a build with `--frozen` would find no lock, or one of another base. */
  readonly isLockOutdated: boolean;
}

/** Describes what a folder declares, from its sandbox.yaml and sandbox.lock alone. */
export async function describeDeclared(
  loaded: LoadedSandbox,
  tools: Pick<DeclaredTools, 'loadPolicy' | 'seccompProfile'>,
): Promise<DeclaredSandbox> {
  const [lock, policy, profile] = await Promise.all([
    readLock(loaded.directory),
    tools.loadPolicy(loaded.directory),
    tools.seccompProfile(),
  ]);
  const { sandbox } = loaded;
  const resources = { ...DEFAULT_RESOURCES, ...defaultResources(policy), ...sandbox.resources };
  const request = sandbox.base ?? defaultBase(policy, baseNameOf(sandbox));
  return {
    file: loaded.file,
    plan: planOf(sandbox, resources, sha256(profile)),
    base: describeBase(request, lock),
    packages: lock?.packages ?? {},
    program: describeProgram(sandbox, resources.memoryBytes, lock?.base.version ?? null),
    env: sandbox.env,
    isLockOutdated: lock === null || (request !== null && !answers(lock, request)),
  };
}

function answers(lock: Lock, request: BaseRequest): boolean {
  return 'digest' in request
    ? lock.base.image === request.image && lock.base.digest === request.digest
    : findLocked(request, lock) !== null;
}

function describeBase(request: BaseRequest | null, lock: Lock | null): ReadonlyMap<string, unknown> {
  const asked = request && ('digest' in request ? request.digest : request.version);
  return new Map([
    ['image', lock?.base.image ?? request?.image ?? null],
    ['asked for', asked],
    ['version', lock?.base.version ?? null],
    ['digest', lock?.base.digest ?? null],
    ['signer', lock?.base.signer ?? null],
  ]);
}

function describeProgram(
  sandbox: Sandbox,
  memoryBytes: number,
  baseVersion: string | null,
): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ['user', `${sandbox.user.uid}:${sandbox.user.gid}`],
    ['command', splitCommand(programCommand(sandbox, memoryBytes, baseVersion), sandbox.language).author],
    ['args', sandbox.args],
  ]);
}

/** The files that a build would pack, as {@link describeTree} names them, and the program that it would start. */
export async function describeSource(
  loaded: LoadedSandbox,
  tools: DeclaredTools,
): Promise<{ readonly files: ReadonlyMap<string, unknown>; readonly program: ReadonlyMap<string, unknown> }> {
  const policy = await tools.loadPolicy(loaded.directory);
  const maxBytes = effectiveLimits(policy).sourceBytes ?? SOURCE_LIMITS.defaultBytes;
  const [collected, inputs] = await Promise.all([
    collectSource(loaded, { maxBytes, forbidden: tools.forbiddenSources }),
    collectInputs(loaded, maxBytes),
  ]);
  const { tree, sandbox, files } = await stripProgram(collected, loaded.sandbox, tools);
  const described = [
    ...(await describeTree(tree, '')),
    ...(await Promise.all(inputs.map((input) => describeTree(input, '/in/')))).flat(),
    ...Object.entries(files).map(([path, content]) => [path, sha256(content)] as const),
  ];
  return {
    files: new Map(described),
    program: describeProgram(sandbox, DEFAULT_RESOURCES.memoryBytes, null),
  };
}

async function describeTree(tree: SourceTree, prefix: string): Promise<(readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  // One after the other: a source may have more files than a process may open.
  for (const entry of tree.entries) found.push([`${prefix}${entry.path}`, await describeEntry(tree, entry)]);
  return found.map(([path, text]) => [text === 'folder' ? `${path}/` : path, text]);
}

async function describeEntry(tree: SourceTree, entry: SourceEntry): Promise<string> {
  switch (entry.kind) {
    case 'folder':
      return 'folder';
    case 'symlink':
      return `link to ${entry.target}`;
    case 'inline':
      return sha256(entry.content);
    case 'file':
      return `${await digestFile(join(tree.root, entry.path))}${entry.executable ? ' executable' : ''}`;
  }
}

async function digestFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Uint8Array);
  } finally {
    await handle.close();
  }
  return `sha256:${hash.digest('hex')}`;
}
