import { SjsError } from '../../errors.js';
import type { RegistryCredentials } from '../../ports/registry.js';
import { checkUrl, resolveUrl, sendHttp, type HttpAnswer, type HttpRequest } from './http.js';

/** Sends requests with whatever authorization the registry asks for. */
export type SendAuthorized = (
  registry: string,
  /** What the request needs, as `repository:base/node:pull`. */
  scopes: readonly string[],
  request: HttpRequest,
) => Promise<HttpAnswer>;

const MAX_TOKEN_BYTES = 1024 ** 2;

/**
 * Makes a sender that answers Basic and Bearer challenges. Tokens are kept for as long as the registry takes them.
 * @throws SjsError `REGISTRY_UNAUTHORIZED` from the sender when the registry refuses what we have.
 */
export function createAuthorizedSender(
  credentials: (registry: string, signal?: AbortSignal) => Promise<RegistryCredentials | null>,
): SendAuthorized {
  const known = new Map<string, string>();
  return async (registry, scopes, request) => {
    const key = [registry, ...scopes].join(' ');
    const first = await sendHttp(registry, withAuthorization(request, known.get(key)));
    if (first.status !== 401) return refuseForbidden(registry, first);
    const challenge = first.header('www-authenticate') ?? '';
    await first.discard();
    const found = await credentials(registry, request.signal);
    const header = await answerChallenge(registry, challenge, scopes, found, request);
    known.set(key, header);
    const second = await sendHttp(registry, withAuthorization(request, header));
    if (second.status !== 401) return refuseForbidden(registry, second);
    await second.discard();
    known.delete(key);
    throw unauthorized(registry, found ? 'it does not accept the credentials' : 'it asks for credentials');
  };
}

function withAuthorization(request: HttpRequest, header: string | undefined): HttpRequest {
  return header === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization: header } };
}

async function refuseForbidden(registry: string, answer: HttpAnswer): Promise<HttpAnswer> {
  if (answer.status !== 403) return answer;
  await answer.discard();
  throw unauthorized(registry, 'it forbids this');
}

async function answerChallenge(
  registry: string,
  challenge: string,
  scopes: readonly string[],
  credentials: RegistryCredentials | null,
  request: HttpRequest,
): Promise<string> {
  const basic =
    credentials?.username === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password ?? ''}`).toString('base64')}`;
  if (/^basic\b/i.test(challenge)) {
    if (basic === undefined) throw unauthorized(registry, 'it asks for credentials');
    return basic;
  }
  const parameters = parseParameters(challenge);
  const realm = parameters.get('realm');
  if (!/^bearer\b/i.test(challenge) || realm === undefined) {
    throw unauthorized(registry, 'it asks for a kind of authorization that sjs does not know');
  }
  const url = resolveUrl(realm, request.url, registry);
  checkUrl(url, registry);
  const fields: [string, string][] = scopes.map((scope) => ['scope', scope]);
  const service = parameters.get('service');
  if (service !== undefined) fields.unshift(['service', service]);
  return `Bearer ${await fetchToken(registry, url, fields, credentials?.identityToken, basic, request)}`;
}

async function fetchToken(
  registry: string,
  url: URL,
  fields: [string, string][],
  identityToken: string | undefined,
  basic: string | undefined,
  { timeoutMs, signal }: HttpRequest,
): Promise<string> {
  const limits = { timeoutMs, signal };
  let answer: HttpAnswer;
  if (identityToken !== undefined) {
    // OAuth 2 takes one scope field with all scopes in it.
    const scopes = fields.filter(([name]) => name === 'scope').map(([, scope]) => scope);
    const form = new URLSearchParams([
      ...fields.filter(([name]) => name !== 'scope'),
      ['scope', scopes.join(' ')],
      ['grant_type', 'refresh_token'],
      ['client_id', 'sjs'],
      ['refresh_token', identityToken],
    ]);
    answer = await sendHttp(registry, { ...limits, method: 'POST', url, body: () => form });
  } else {
    for (const [name, value] of fields) url.searchParams.append(name, value);
    answer = await sendHttp(registry, {
      ...limits,
      method: 'GET',
      url,
      headers: basic === undefined ? {} : { authorization: basic },
    });
  }
  if (answer.status >= 500) {
    await answer.discard();
    throw new SjsError(
      'REGISTRY_UNREACHABLE',
      `${url.host} answers ${answer.status} when asked for a token`,
      {
        next: 'try again later, or ask whoever runs the registry',
      },
    );
  }
  if (answer.status !== 200) {
    await answer.discard();
    throw unauthorized(registry, `${url.host} gives no token (${answer.status})`);
  }
  const token = readToken(await answer.read(MAX_TOKEN_BYTES));
  if (token === undefined) {
    throw new SjsError('REGISTRY_INVALID_ANSWER', `${url.host} answers with something that is not a token`, {
      next: 'ask whoever runs the registry',
    });
  }
  return token;
}

function readToken(bytes: Uint8Array): string | undefined {
  try {
    const { token, access_token } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<
      string,
      unknown
    >;
    const found = [token, access_token].find(
      (value) => typeof value === 'string' && /^[\x21-\x7e]+$/.test(value),
    );
    return found as string | undefined;
  } catch {
    return undefined;
  }
}

/** `realm="…",service="…"` of a challenge; names in lower case. */
function parseParameters(challenge: string): ReadonlyMap<string, string> {
  const pairs = challenge.slice(0, 4096).matchAll(/([a-zA-Z]+)=(?:"([^"]*)"|([^\s,"]+))/g);
  return new Map([...pairs].map(([, name = '', quoted, bare]) => [name.toLowerCase(), quoted ?? bare ?? '']));
}

function unauthorized(registry: string, why: string): SjsError {
  return new SjsError('REGISTRY_UNAUTHORIZED', `${registry} refuses access: ${why}`, {
    next: `log in with docker login ${registry}, or ask for access to the repository`,
  });
}
