import { constants, type Stats } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { LoadedSandbox } from '../../model/sandbox.js';
import { createIgnoreRules } from './ignore-rules.js';
import type { SourceTree } from '../../model/source-tree.js';
import { Walk } from './walk-source.js';

/** What bounds a collection: the policy's size, and folders that must never be inside a source. */
export interface CollectLimits {
  readonly maxBytes: number;
  /** Absolute folders a source may neither be nor contain (`SJS_HOME`, the home folder). */
  readonly forbidden: { readonly containing: readonly string[]; readonly being: readonly string[] };
}

/**
 * Walks the source by lstat alone and returns what goes into the image: no file is opened. Folders are read by name,
 * links are checked within the tree, other file systems are not entered.
 * @throws SjsError `SOURCE_*` naming the path and the figure.
 */
export async function collectSource(loaded: LoadedSandbox, limits: CollectLimits): Promise<SourceTree> {
  const start = resolve(loaded.directory, loaded.sandbox.source);
  const stats = await inspectStart(loaded, start);
  const root = await realpath(stats.isDirectory() ? start : dirname(start));
  await checkRoot(loaded, root, limits);
  const rules = createIgnoreRules(await readIgnoreFile(root), loaded.sandbox.exclude);
  const walk = new Walk(root, rules, limits.maxBytes);
  if (stats.isDirectory()) walk.enter('', (await lstat(root)).dev);
  else walk.addFile(basename(start), stats);
  return walk.finish();
}

async function inspectStart(loaded: LoadedSandbox, start: string): Promise<Stats> {
  const written = loaded.sandbox.source;
  const details = { location: { file: loaded.file, ...loaded.locate('spec.source'), path: 'spec.source' } };
  try {
    const real = await realpath(start);
    const inside = relative(await realpath(loaded.directory), real);
    if (inside.startsWith('..')) {
      throw new SjsError('SOURCE_OUTSIDE', `source ${written} leads outside the folder of ${loaded.file}`, {
        ...details,
        next: 'put the code beside or below sandbox.yaml',
      });
    }
    const stats = await lstat(real);
    if (stats.isDirectory() || stats.isFile()) return stats;
    throw new SjsError('SOURCE_SPECIAL_FILE', `source ${written} is neither a file nor a folder`, details);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR')) {
      throw new SjsError('SOURCE_NOT_FOUND', `source ${written} does not exist: ${start}`, {
        ...details,
        cause,
        next: 'correct spec.source; it is relative to the sandbox.yaml',
      });
    }
    throw cause;
  }
}

async function checkRoot(loaded: LoadedSandbox, root: string, limits: CollectLimits): Promise<void> {
  const real = async (path: string): Promise<string> => realpath(path).catch(() => resolve(path));
  const contains = (inner: string): boolean => !relative(root, inner).startsWith('..');
  const holds = (await Promise.all(limits.forbidden.containing.map(real))).find(contains);
  const is = root === '/' || (await Promise.all(limits.forbidden.being.map(real))).includes(root);
  if (!is && holds === undefined) return;
  throw new SjsError(
    'SOURCE_ROOT',
    is
      ? `${root} as a whole cannot be a source`
      : `the source ${root} contains ${holds}, where sjs keeps its state`,
    {
      location: { file: loaded.file, ...loaded.locate('spec.source'), path: 'spec.source' },
      next: 'put the code into a folder of its own and name that',
    },
  );
}

async function readIgnoreFile(root: string): Promise<string> {
  try {
    const file = join(root, '.sjsignore');
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (stats.isFile() && stats.size <= 256 * 1024) return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
    throw new SjsError('SOURCE_SPECIAL_FILE', '.sjsignore is not a plain file of at most 256Ki');
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return '';
    if (isErrno(cause, 'ELOOP')) throw new SjsError('SOURCE_SPECIAL_FILE', '.sjsignore is a link', { cause });
    throw cause;
  }
}
