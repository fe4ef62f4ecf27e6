import { constants, type Stats } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { isErrno, SjsError, type SourceLocation } from '../../errors.js';
import { formatBytes } from '../../model/quantity.js';
import { packagesFolder } from '../../model/language.js';
import type { LoadedSandbox } from '../../model/sandbox.js';
import { checkCollisions, checkInLayer, decodeName } from './check-names.js';
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
  if (loaded.code) return treeOfCode(loaded.directory, loaded.sandbox.source, loaded.code, limits.maxBytes);
  const start = resolve(loaded.directory, loaded.sandbox.source);
  const stats = await inspectStart(loaded, start);
  const root = await realpath(stats.isDirectory() ? start : dirname(start));
  // Of a source that is a file nothing but that file is taken, wherever it lies.
  if (stats.isDirectory()) await checkRoot(loaded, root, limits);
  const { exclude, dependencies, language } = loaded.sandbox;
  const rules = createIgnoreRules(
    await readIgnoreFile(root),
    exclude,
    dependencies && packagesFolder(language),
    language === 'python',
  );
  const walk = new Walk(root, rules, limits.maxBytes);
  if (stats.isDirectory()) walk.enter('', (await lstat(root)).dev);
  else walk.addFile(basename(start), stats);
  return walk.finish();
}

function treeOfCode(root: string, path: string, content: Uint8Array, maxBytes: number): SourceTree {
  if (content.length > maxBytes) {
    throw new SjsError('SOURCE_TOO_LARGE', `the code is larger than ${formatBytes(maxBytes)}`, {
      next: 'pass data on stdin, or in a file with --in',
    });
  }
  checkInLayer(path);
  return { root, entries: [{ kind: 'inline', path, content }], totalBytes: content.length, withheld: [] };
}

/**
 * The files of `spec.inputs` and of a run's `--in`, each as a tree of its own: what a source may not be, they may not be
 * either.
 * @throws SjsError `SOURCE_*` naming the path, `USAGE` for two of one name.
 */
export async function collectInputs(loaded: LoadedSandbox, maxBytes: number): Promise<readonly SourceTree[]> {
  const declared = loaded.sandbox.inputs.map((written, at) => ({
    file: resolve(loaded.directory, written),
    what: `input ${written}`,
    // Its author is not who builds it.
    within: loaded.directory,
    location: { file: loaded.file, ...loaded.locate(`spec.inputs.${at}`), path: `spec.inputs.${at}` },
  }));
  const given = (loaded.inputs ?? []).map((file) => ({ file, what: `--in ${file}` }));
  const trees = await Promise.all([...declared, ...given].map((input) => collectInput(input, maxBytes)));
  if (trees.reduce((sum, { totalBytes }) => sum + totalBytes, 0) > maxBytes) {
    throw new SjsError('SOURCE_TOO_LARGE', `the inputs are larger than ${formatBytes(maxBytes)} together`, {
      next: 'pass data on stdin',
    });
  }
  const names = trees.flatMap(({ entries }) => entries.map(({ path }) => path));
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new SjsError('USAGE', `two files would be /in/${twice}`, { next: 'rename one of them' });
  }
  checkCollisions(names);
  return trees;
}

/** A file that is to lie at /in. */
interface Input {
  /** Absolute. */
  readonly file: string;
  readonly what: string;
  /** The folder that it may not lead out of. */
  readonly within?: string;
  readonly location?: SourceLocation;
}

async function collectInput({ file, what, within, location }: Input, maxBytes: number): Promise<SourceTree> {
  const place = location && { location };
  const stats = await lstat(file).catch((cause: unknown) => {
    throw new SjsError('SOURCE_NOT_FOUND', `${what} cannot be found`, {
      ...place,
      cause,
      next: 'name a file that is there',
    });
  });
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? 'a folder' : stats.isSymbolicLink() ? 'a link' : 'no plain file';
    throw new SjsError('SOURCE_SPECIAL_FILE', `${what} is ${kind}`, {
      ...place,
      next: stats.isDirectory() ? 'name each file by itself' : 'name the file itself',
    });
  }
  const root = await realpath(dirname(file));
  if (within !== undefined && relative(await realpath(within), root).startsWith('..')) {
    throw new SjsError('SOURCE_OUTSIDE', `${what} leads outside the folder of its sandbox.yaml`, {
      ...place,
      next: 'put the file beside or below sandbox.yaml',
    });
  }
  const walk = new Walk(root, createIgnoreRules('', []), maxBytes);
  walk.addFile(decodeName(Buffer.from(basename(file)), root), stats);
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
