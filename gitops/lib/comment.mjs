const MARK = '<!-- sjs-gitops -->';
const LARGEST = 60_000;
const MOST_PAGES = 20;

/** The body as it is posted: with the mark that the next one is found by, and never longer than both platforms take. */
export function commentBody(markdown) {
  if (markdown.length <= LARGEST) return `${MARK}\n${markdown}`;
  // At the end of a line: in the middle of one the words of an author would leave the code span that holds them.
  const kept = markdown.slice(0, Math.max(0, markdown.lastIndexOf('\n', LARGEST)));
  const count = (tag) => kept.split(tag).length - 1;
  const open = Math.max(0, count('<details>') - count('</details>'));
  return `${MARK}\n${kept}\n${'\n</details>\n'.repeat(open)}\n… the rest stands in the log of the job.`;
}

/**
 * Posts the comment of a pull request, or changes the one that is there. Returns its address.
 * @throws Error with what the platform answered; the token is in no message.
 */
export async function postComment(kind, { url, number, token }, markdown) {
  if (!Number.isSafeInteger(number) || number < 1) throw new Error('the event names no pull request');
  const call = async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'sjs-ci',
        ...(kind === 'github'
          ? { authorization: `Bearer ${token}`, accept: 'application/vnd.github+json' }
          : { 'private-token': token }),
      },
      ...(body !== undefined && { body: JSON.stringify({ body }) }),
      redirect: 'error',
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    throw Object.assign(new Error(`${method} ${path} was answered with ${response.status}`), {
      status: response.status,
    });
  };
  const thread = kind === 'github' ? `/${number}/comments` : `/${number}/notes`;
  const body = commentBody(markdown);
  const own = await findOwn(kind, thread, call);
  if (own !== null) {
    const path = kind === 'github' ? `/comments/${own}` : `${thread}/${own}`;
    try {
      return addressOf(await call(kind === 'github' ? 'PATCH' : 'PUT', path, body));
    } catch (error) {
      // Somebody else's comment can begin with the mark; it is not ours to change.
      if (![403, 404].includes(error.status)) throw error;
    }
  }
  return addressOf(await call('POST', thread, body));
}

const addressOf = (comment) => comment.html_url ?? null;

/** The newest comment that begins with our mark and that a machine wrote; GitLab's tokens are users as others are. */
async function findOwn(kind, thread, call) {
  let own = null;
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const comments = await call('GET', `${thread}?per_page=100&page=${page}`);
    for (const { id, body, user, system } of comments) {
      const isOurs = kind === 'github' ? user?.type === 'Bot' : system !== true;
      if (isOurs && typeof body === 'string' && body.startsWith(MARK) && Number.isSafeInteger(id)) own = id;
    }
    if (comments.length < 100) break;
  }
  return own;
}
