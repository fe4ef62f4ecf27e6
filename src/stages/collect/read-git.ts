import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GitFacts } from '../../model/build-facts.js';

/** Enough for a hundred thousand packed references. */
const MOST_BYTES = 16 * 1024 ** 2;
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Names that git allows and that lead nowhere else. */
const REF = /^refs\/(?!.*\.\.)(?:[\w@+-][\w.@+-]*\/)*[\w@+-][\w.@+-]{0,200}$/;

/**
 * The commit of the git repository that a folder lies in; null without one, or when it cannot be told. Three plain files
 * are read and nothing is run: git obeys the configuration of the folder that it is in. Repositories that keep their
 * `.git` elsewhere (worktrees, submodules) are passed over: the file that says where could name any other repository.
 */
export async function readGit(directory: string): Promise<GitFacts | null> {
  try {
    const folder = await findRepository(directory);
    return folder === null ? null : await readFacts(folder);
  } catch {
    return null;
  }
}

/** As git does, nothing is believed that somebody else put above the folder. */
async function findRepository(directory: string): Promise<string | null> {
  const { uid } = await lstat(directory);
  const trusted = new Set([uid, process.geteuid?.() ?? uid]);
  for (let folder = await realpath(directory); ; folder = dirname(folder)) {
    const found = await lstat(join(folder, '.git')).catch(() => null);
    if (found) return found.isDirectory() && trusted.has(found.uid) ? join(folder, '.git') : null;
    if (folder === dirname(folder)) return null;
  }
}

async function readFacts(folder: string): Promise<GitFacts | null> {
  const head = ((await readPlain(folder, 'HEAD')) ?? '').trim();
  const remote = findRemote((await readPlain(folder, 'config')) ?? '');
  if (COMMIT.test(head)) return { commit: head, ref: null, remote };
  const ref = /^ref: (.*)$/.exec(head)?.[1] ?? '';
  if (!REF.test(ref)) return null;
  const commit =
    (await readPlain(folder, ref))?.trim() ?? findPacked(await readPlain(folder, 'packed-refs'), ref);
  return COMMIT.test(commit) ? { commit, ref, remote } : null;
}

/** The text of a file below the folder; null when it is not there, no plain file, too large, or reached by a link. */
async function readPlain(folder: string, name: string): Promise<string | null> {
  const file = join(folder, name);
  if ((await realpath(file).catch(() => null)) !== file) return null;
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    return stats.isFile() && stats.size <= MOST_BYTES ? await handle.readFile('utf8') : null;
  } finally {
    await handle.close();
  }
}

const findPacked = (text: string | null, ref: string): string =>
  (text ?? '')
    .split('\n')
    .find((line) => line.endsWith(` ${ref}`))
    ?.split(' ')[0] ?? '';

/** The URL of `origin` in a git configuration, without what is nobody's business. */
function findRemote(config: string): string | null {
  let isOrigin = false;
  for (const line of config.split('\n')) {
    if (/^\s*\[/.test(line)) isOrigin = /^\s*\[\s*remote\s+"origin"\s*\]/i.test(line);
    const url = isOrigin ? /^\s*url\s*=\s*"?([^"\s]{1,1000})"?\s*$/i.exec(line)?.[1] : undefined;
    if (url !== undefined) return publicUrl(url);
  }
  return null;
}

/** The URL without user, password, query; null for a path of this machine. */
function publicUrl(text: string): string | null {
  const scp = /^(?:[\w.-]+@)?([\w.-]+):(?!\/\/)\/?(.+)$/.exec(text);
  try {
    const url = new URL(scp ? `ssh://${scp[1] ?? ''}/${scp[2] ?? ''}` : text);
    if (!/^(?:https?|ssh|git):$/.test(url.protocol) || url.hostname === '') return null;
    return `${url.protocol}//${url.host}${url.pathname}`;
  } catch {
    return null;
  }
}
