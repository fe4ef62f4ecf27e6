import { isErrno, SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { isLoopback } from '../../model/loopback.js';
import { PACKAGE_LIMITS, type LockedWheel } from '../../model/locked-package.js';
import { parseJson } from '../../model/parse-json.js';
import { formatBytes } from '../../model/quantity.js';
import type { IndexFile, PackageIndex } from '../../ports/package-index.js';
import { loadPipIndex, type PipIndex } from './pip-config.js';
import { TarballCache } from './tarball-cache.js';

const FETCH_MS = 10 * 60_000;
const LIST_MS = 60_000;
/** PyPI's longest list has 3 MB. */
const MOST_LIST_BYTES = 16 * 1024 ** 2;
/** Pages have three. */
const DEEPEST = 64;
const MOST_FRAGMENT = 1024;

/** What the adapter is given. */
export interface PipSettings {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  /** Absolute folder of cached wheels. */
  readonly cacheFolder: string;
  /** Told about what was wrong and is mended. */
  readonly onWarning: (message: string) => void;
}

/** The package index of the operator's pip configuration (PEP 503 and PEP 691). */
export function createPackageIndex({ env, home, cacheFolder, onWarning }: PipSettings): PackageIndex {
  const cache = new TarballCache(cacheFolder);
  let loading: Promise<PipIndex | null> | undefined;
  const load = async (): Promise<PipIndex> => {
    const index = await (loading ??= loadPipIndex(env, home));
    if (index !== null) return index;
    throw new SjsError(
      'PACKAGE_UNAVAILABLE',
      'packages of Python are not here: no package index is configured',
      {
        next: 'name one as pip does: pip config set global.index-url https://…/simple, or PIP_INDEX_URL',
      },
    );
  };
  const list = async (project: string, signal?: AbortSignal): Promise<readonly IndexFile[]> => {
    const index = await load();
    const address = new URL(`${encodeURIComponent(project)}/`, index.url);
    try {
      const answer = await ask(address, index, LIST_MS, signal, {
        accept:
          'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01',
      });
      if (answer.status === 404) return [];
      const chunks: Uint8Array[] = [];
      await take(answer.body, MOST_LIST_BYTES, (chunk) => void chunks.push(chunk));
      const text = Buffer.concat(chunks).toString('utf8');
      const isJson = /\bjson\b/.test(answer.headers.get('content-type') ?? '');
      return await (isJson ? readJsonList(text, answer.url) : readHtmlList(text, answer.url));
    } catch (error) {
      throw describe(error, project, signal);
    }
  };
  /** Where the index has it now: an address of before may be of an index that is not configured any more. */
  const addressOf = async (
    { name, version, url, integrity }: LockedWheel,
    signal?: AbortSignal,
  ): Promise<URL> => {
    const found = url ?? (await list(name, signal)).find((file) => file.integrity === integrity)?.url;
    if (found != null) return new URL(found);
    throw new SjsError(
      'PACKAGE_UNAVAILABLE',
      `${name} ${version} is not in the cache, and the index does not have it any more`,
    );
  };
  return {
    list,

    fetch: async (wanted, signal) => {
      const found = await cache.look(wanted.integrity);
      if (typeof found === 'number') return found;
      const what = `${wanted.name} ${wanted.version}`;
      if (found === 'other') onWarning(`the cached wheel of ${what} was changed: it is fetched again`);
      const index = await load();
      try {
        const answer = await ask(await addressOf(wanted, signal), index, FETCH_MS, signal);
        if (answer.status === 404) throw new Error('the index does not have it any more');
        return await cache.write(wanted.integrity, (file) =>
          take(answer.body, PACKAGE_LIMITS.tarballBytes, (chunk) => file.take(chunk)),
        );
      } catch (error) {
        throw describe(error, what, signal);
      }
    },

    touch: (wanted) => cache.touch(wanted.integrity),

    open: (wanted) => readChecked(cache, wanted),
  };
}

async function* readChecked(cache: TarballCache, wanted: LockedWheel): AsyncGenerator<Uint8Array> {
  try {
    yield* cache.read(wanted.integrity);
  } catch (error) {
    throw describe(error, `${wanted.name} ${wanted.version}`);
  }
}

/** Passes a body on up to a size. */
async function take(
  body: AsyncIterable<Uint8Array | string> | null,
  most: number,
  use: (chunk: Uint8Array) => unknown,
): Promise<void> {
  let bytes = 0;
  for await (const chunk of body ?? []) {
    const piece = Buffer.from(chunk as Uint8Array);
    bytes += piece.length;
    if (bytes > most) throw new TooLarge(`it is larger than ${formatBytes(most)}`);
    await use(piece);
  }
}

class TooLarge extends Error {}

const MOST_REDIRECTS = 5;

interface IndexAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array | string> | null;
  /** Where it came from. */
  readonly url: string;
}

/** An answer of success, or 404. npm's own library sends: it knows proxies, redirects and when to try again. */
async function ask(
  address: URL,
  { url, authorization }: PipIndex,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  headers: Readonly<Record<string, string>> = {},
  redirects = MOST_REDIRECTS,
): Promise<IndexAnswer> {
  const isPlain = address.protocol === 'http:' && isLoopback(address.host) && isLoopback(url.host);
  if (address.protocol !== 'https:' && !isPlain)
    throw new Error(`it is at ${address.origin}, which has no https`);
  const { default: fetch } = await import('make-fetch-happen');
  const options = {
    headers: {
      ...headers,
      // To the index alone: files may lie elsewhere.
      ...(authorization !== null && address.origin === url.origin && { authorization }),
    },
    // Followed here, where each step is looked at.
    redirect: 'manual' as const,
    cache: 'no-store' as const,
    retry: { retries: 2, minTimeout: 500 },
    timeout: timeoutMs,
    // What its types leave out.
    signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]),
  };
  const answer = await fetch(address.href, options);
  const target = answer.headers.get('location');
  if (answer.status >= 300 && answer.status < 400 && target !== null) {
    if (redirects === 0) throw new Error('it is redirected too often');
    return ask(new URL(target, address), { url, authorization }, timeoutMs, signal, headers, redirects - 1);
  }
  if (answer.ok || answer.status === 404)
    return { status: answer.status, headers: answer.headers, body: answer.body, url: address.href };
  throw new Error(
    answer.status === 401 || answer.status === 403
      ? 'the index wants other credentials'
      : `the index answers with ${answer.status}`,
  );
}

/** PEP 691. */
function readJsonList(text: string, address: string): readonly IndexFile[] {
  const { files } = parseJson(text) as { readonly files?: unknown };
  if (!Array.isArray(files)) throw new Error('its list has no files');
  return files.flatMap((file: unknown) => {
    const { filename, url, hashes } = (file ?? {}) as {
      readonly filename?: unknown;
      readonly url?: unknown;
      readonly hashes?: { readonly sha256?: unknown };
    };
    return typeof filename === 'string' && typeof url === 'string'
      ? toFile(filename, url, hashes?.sha256, address)
      : [];
  });
}

/** PEP 503: each file is a link, with its hash behind the `#`. */
async function readHtmlList(text: string, address: string): Promise<readonly IndexFile[]> {
  const { Parser } = await import('htmlparser2');
  const found: IndexFile[] = [];
  let link: string | null = null;
  let name = '';
  let depth = 0;
  const parser = new Parser({
    onopentag: (tag, attributes) => {
      depth += 1;
      if (depth > DEEPEST) throw new Error('its list is no page of an index');
      if (tag !== 'a') return;
      link = attributes['href'] ?? null;
      name = '';
    },
    ontext: (data) => {
      if (link !== null) name += data;
    },
    onclosetag: (tag) => {
      depth -= 1;
      if (tag !== 'a' || link === null) return;
      const at = link.indexOf('#');
      const fragment = at < 0 ? '' : link.slice(at + 1, at + 1 + MOST_FRAGMENT);
      const hex = new URLSearchParams(fragment).get('sha256');
      found.push(...toFile(name.trim(), link, hex, address));
      link = null;
    },
  });
  parser.end(text);
  return found;
}

function toFile(name: string, url: string, sha256: unknown, address: string): readonly IndexFile[] {
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(sha256)) return [];
  let target: URL;
  try {
    target = new URL(url, address);
  } catch {
    return [];
  }
  target.hash = '';
  const integrity = `sha256-${Buffer.from(sha256, 'hex').toString('base64')}`;
  return [{ name, url: target.href, integrity }];
}

function describe(error: unknown, what: string, signal?: AbortSignal): unknown {
  if (error instanceof SjsError) return error;
  if (signal?.aborted) return signal.reason;
  if (isErrno(error, 'EINTEGRITY')) {
    return new SjsError(
      'PACKAGE_MISMATCH',
      `the wheel of ${what} does not have the hash of requirements.txt`,
      {
        cause: cleanText((error as Error).message),
        next: 'ask who changed it: the index, or requirements.txt; nothing of it was used',
      },
    );
  }
  const why = cleanText((error as Error).message).slice(0, 500);
  if (error instanceof TooLarge) {
    return new SjsError('PACKAGE_TOO_LARGE', `${what} is not taken: ${why}`, {
      next: 'depend on something smaller',
    });
  }
  return new SjsError('PACKAGE_UNAVAILABLE', `${what} cannot be had: ${why}`, {
    cause: error,
    next: 'see pip config list, and whether the index answers; a build that has everything in the cache asks nobody',
  });
}
