import { SjsError } from '../../errors.js';
import { formatRepository, type Repository } from '../../model/reference.js';
import { apiUrl } from './hosts.js';
import { resolveUrl } from './http.js';
import { expectStatus, pullScope, type RegistrySession } from './session.js';

const PAGE = 1000;
const MAX_PAGES = 100;
const MAX_PAGE_BYTES = 4 * 1024 ** 2;

/**
 * All tags of a repository, page by page. More than 100 pages of 1000, or a page that leads to another host or back, is
 * `REGISTRY_INVALID_ANSWER`.
 */
export async function listAllTags(
  session: RegistrySession,
  repository: Repository,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const name = formatRepository(repository);
  const start = apiUrl(repository, `tags/list?n=${PAGE}`);
  const tags = new Set<string>();
  const seen = new Set<string>();
  let url: URL | null = start;
  while (url !== null) {
    if (seen.size >= MAX_PAGES || seen.has(url.href)) throw invalid(name, 'the list of tags does not end');
    if (url.origin !== start.origin) throw invalid(name, 'the list of tags goes on at another host');
    seen.add(url.href);
    const answer = await session.send(repository.registry, [pullScope(repository)], {
      method: 'GET',
      url,
      timeoutMs: session.timeoutMs,
      signal,
    });
    await expectStatus(answer, [200], repository, name);
    for (const tag of parseTags(await answer.read(MAX_PAGE_BYTES), name)) tags.add(tag);
    const next = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(answer.header('link') ?? '')?.[1];
    url = next === undefined ? null : resolveUrl(next, url, repository.registry);
  }
  return [...tags];
}

function parseTags(bytes: Uint8Array, name: string): readonly string[] {
  let tags: unknown;
  try {
    tags = (JSON.parse(Buffer.from(bytes).toString('utf8')) as { tags?: unknown } | null)?.tags;
  } catch (cause) {
    throw invalid(name, 'the list of tags is not JSON', cause);
  }
  // A repository whose last tag was removed says null.
  if (tags === null || tags === undefined) return [];
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw invalid(name, 'the list of tags is not a list of names');
  }
  return tags;
}

function invalid(name: string, why: string, cause?: unknown): SjsError {
  return new SjsError('REGISTRY_INVALID_ANSWER', `${name}: ${why}`, {
    cause,
    next: 'ask whoever runs the registry, or pin the base by digest',
  });
}
