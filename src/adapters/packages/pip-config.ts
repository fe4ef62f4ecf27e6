import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import { isLoopback } from '../../model/loopback.js';

/** The package index of the operator's pip configuration. */
export interface PipIndex {
  /** Ends in a slash; without name and password. */
  readonly url: URL;
  /** What `authorization` says there, from the name and the password of the configured address; null without. */
  readonly authorization: string | null;
}

/**
 * The operator's package index, where pip itself would look for it: `PIP_INDEX_URL`, else `index-url` in the section
 * `[global]` or `[install]` of `PIP_CONFIG_FILE`, the user's and the machine's pip.conf. Null when none says; PyPI is
 * nobody's choice by default. No file of a project is read.
 * @throws SjsError `PACKAGE_UNAVAILABLE` for a file that cannot be read and an address that is none
 */
export async function loadPipIndex(env: NodeJS.ProcessEnv, home: string): Promise<PipIndex | null> {
  const stated = env['PIP_INDEX_URL'];
  if (stated !== undefined && stated !== '') return toIndex(stated, 'PIP_INDEX_URL');
  const own = env['PIP_CONFIG_FILE'];
  // As pip has it: /dev/null means that no file counts.
  if (own === '/dev/null') return null;
  const userFolder = env['XDG_CONFIG_HOME'] || join(home, '.config');
  const files = [
    ...(own === undefined || own === '' ? [] : [own]),
    join(userFolder, 'pip', 'pip.conf'),
    join(home, '.pip', 'pip.conf'),
    '/etc/pip.conf',
    '/etc/xdg/pip/pip.conf',
  ];
  for (const file of files) {
    const found = await readIndexUrl(file);
    if (found !== null) return toIndex(found, file);
  }
  return null;
}

async function readIndexUrl(file: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR')) return null;
    throw new SjsError('PACKAGE_UNAVAILABLE', `the configuration of pip cannot be read: ${file}`, { cause });
  }
  const { parse } = await import('ini');
  const sections = parse(text) as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
  // What is said for the command counts more.
  for (const name of ['install', 'global']) {
    const value = sections[name]?.['index-url'] ?? sections[name]?.['index_url'];
    if (typeof value === 'string' && value !== '') return value;
  }
  return null;
}

function toIndex(text: string, source: string): PipIndex {
  const refuse = (why: string): SjsError =>
    new SjsError('PACKAGE_UNAVAILABLE', `the package index of ${source} ${why}`, {
      next: 'configure the address of a simple index (PEP 503), as https://pypi.org/simple',
    });
  const url = parseUrl(text);
  // It may have a password in it, so it is not shown.
  if (url === null) throw refuse('is no address');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.host))) {
    throw refuse('is not asked: it has no https');
  }
  const { username, password } = url;
  url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  const pair = decode(`${username}:${password}`);
  if (pair === null) throw refuse('has a name or password with a % that stands for nothing');
  return {
    url,
    authorization: username === '' ? null : `Basic ${Buffer.from(pair).toString('base64')}`,
  };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
