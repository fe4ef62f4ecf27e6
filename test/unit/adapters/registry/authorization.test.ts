import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createRegistry } from '../../../../src/adapters/registry/registry-client.js';
import { cleanPrograms, makePrograms } from '../../../support/programs.js';
import { startServer, stopServers, type TinyServer } from '../../../support/tiny-server.js';

stopServers();
cleanPrograms();

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sjs-home-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const at = (host: string, path = 'base/node') => ({ registry: host, path });

async function makeClient(config?: unknown, path = '') {
  if (config !== undefined) await writeFile(join(home, 'config.json'), JSON.stringify(config));
  return createRegistry({ env: { DOCKER_CONFIG: home, PATH: path }, home: '/nonexistent' });
}

/** A registry that gives its tags to whoever shows `expected`. */
function startGuarded(challenge: () => string, expected: string): Promise<TinyServer> {
  return startServer((request, response) => {
    if (request.headers.authorization === expected) return response.end('{"tags":["1.0.0"]}');
    return response.writeHead(401, { 'www-authenticate': challenge() }).end();
  });
}

describe('Basic', () => {
  test('is answered from auths, and refused without', async () => {
    const { host } = await startGuarded(() => 'Basic realm="x"', `Basic ${base64('me:pass:word')}`);
    const client = await makeClient({ auths: { [`https://${host}/v2/`]: { auth: base64('me:pass:word') } } });
    await expect(client.listTags(at(host))).resolves.toEqual(['1.0.0']);
    await expect((await makeClient({})).listTags(at(host))).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      next: expect.stringContaining(`docker login ${host}`),
    });
    await expect(
      (await makeClient({ auths: { [host]: { auth: base64('me:wrong') } } })).listTags(at(host)),
    ).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      message: expect.stringContaining('does not accept'),
    });
  });

  test('goes to no other registry', async () => {
    const { host, seen } = await startGuarded(() => 'Basic realm="x"', 'never');
    const client = await makeClient({ auths: { 'registry.example.com': { auth: base64('me:secret') } } });
    await expect(client.listTags(at(host))).rejects.toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
    expect(seen.map((request) => request.authorization)).toEqual([undefined]);
  });
});

describe('Bearer', () => {
  test('asks for a token once for each repository, with service and scope', async () => {
    const tokens = await startServer((_request, response) => response.end('{"access_token":"abc"}'));
    const { host } = await startGuarded(
      () => `Bearer realm="http://${tokens.host}/token",service="the registry",scope="ignored"`,
      'Bearer abc',
    );
    const client = await makeClient({ auths: { [host]: { auth: base64('me:pw') } } });
    await client.listTags(at(host));
    await client.listTags(at(host));
    await client.listTags(at(host, 'base/other'));
    expect(tokens.seen).toEqual([
      {
        method: 'GET',
        url: '/token?service=the+registry&scope=repository%3Abase%2Fnode%3Apull',
        authorization: `Basic ${base64('me:pw')}`,
      },
      expect.objectContaining({ url: '/token?service=the+registry&scope=repository%3Abase%2Fother%3Apull' }),
    ]);
  });

  test('is renewed when the registry no longer takes it', async () => {
    let count = 0;
    const tokens = await startServer((_request, response) => response.end(`{"token":"t${(count += 1)}"}`));
    const { host } = await startServer((request, response) => {
      if (request.headers.authorization === `Bearer t${count}` && count !== 0) {
        response.end('{"tags":[]}');
        if (count === 1) count = 10;
        return;
      }
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/"` }).end();
    });
    const client = await makeClient();
    await client.listTags(at(host));
    await expect(client.listTags(at(host))).resolves.toEqual([]);
    expect(tokens.seen).toHaveLength(2);
  });

  test('uses an identity token by POST', async () => {
    let form = '';
    const tokens = await startServer((request, response) => {
      request.on('data', (chunk: Buffer) => (form += chunk.toString()));
      request.on('end', () => response.end('{"access_token":"abc"}'));
    });
    const { host } = await startGuarded(
      () => `Bearer realm="http://${tokens.host}/",service=s`,
      'Bearer abc',
    );
    const client = await makeClient({ auths: { [host]: { identitytoken: 'refresh-me' } } });
    await expect(client.listTags(at(host))).resolves.toEqual(['1.0.0']);
    expect(Object.fromEntries(new URLSearchParams(form))).toEqual({
      service: 's',
      scope: 'repository:base/node:pull',
      grant_type: 'refresh_token',
      client_id: 'sjs',
      refresh_token: 'refresh-me',
    });
  });

  test.each([
    ['refuses', 403, '{}', 'REGISTRY_UNAUTHORIZED'],
    ['fails', 500, '', 'REGISTRY_UNREACHABLE'],
    ['answers nonsense', 200, 'hm', 'REGISTRY_INVALID_ANSWER'],
    ['gives no token', 200, '{"token":7}', 'REGISTRY_INVALID_ANSWER'],
    ['gives a token that is two headers', 200, '{"token":"a\\r\\nx: y"}', 'REGISTRY_INVALID_ANSWER'],
  ])('a token server that %s', async (_what, status, body, code) => {
    const tokens = await startServer((_request, response) => response.writeHead(status).end(body));
    const { host } = await startGuarded(() => `Bearer realm="http://${tokens.host}/"`, 'never');
    await expect((await makeClient()).listTags(at(host))).rejects.toMatchObject({ code });
  });

  test.each(['', 'Digest realm="x"', 'Bearer service="x"'])('a challenge that says %j', async (challenge) => {
    const { host } = await startGuarded(() => challenge, 'never');
    await expect((await makeClient()).listTags(at(host))).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
    });
  });

  test('a realm without TLS at another host gets no credentials', async () => {
    const { host } = await startGuarded(() => 'Bearer realm="http://registry.example.com/token"', 'never');
    const client = await makeClient({ auths: { [host]: { auth: base64('me:pw') } } });
    await expect(client.listTags(at(host))).rejects.toMatchObject({ code: 'REGISTRY_INVALID_ANSWER' });
  });
});

describe('credential helpers', () => {
  const answer = (username: string): string =>
    `printf '{"ServerURL":"%s","Username":"${username}","Secret":"s3"}' "$(/bin/cat)"`;

  test('the helper of a registry comes before the store of all, and that before the file', async () => {
    const path = await makePrograms({
      'docker-credential-own': answer('own'),
      'docker-credential-all': answer('all'),
      'docker-credential-none': 'echo "credentials not found in native keychain"; exit 1',
    });
    const auths = {
      'a.example.com': { auth: base64('file:pw') },
      'c.example.com': { auth: base64('file:pw') },
    };
    const credHelpers = { 'a.example.com': 'own', 'c.example.com': 'none' };
    const client = await makeClient({ auths, credHelpers, credsStore: 'all' }, path);
    await expect(client.credentials('a.example.com')).resolves.toEqual({ username: 'own', password: 's3' });
    await expect(client.credentials('b.example.com')).resolves.toEqual({ username: 'all', password: 's3' });
    await expect(client.credentials('c.example.com')).resolves.toEqual({ username: 'file', password: 'pw' });
  });

  test('is told the registry on stdin, and may give an identity token', async () => {
    const path = await makePrograms({
      'docker-credential-own':
        '[ "$(/bin/cat)|$*" = "a.example.com|get" ] && printf \'{"Username":"<token>","Secret":"refresh"}\'',
    });
    const client = await makeClient({ credsStore: 'own' }, path);
    await expect(client.credentials('a.example.com')).resolves.toEqual({ identityToken: 'refresh' });
  });

  test.each([
    ['is not there', {}],
    ['fails', { 'docker-credential-own': 'echo hunter2; exit 1' }],
    ['answers nonsense', { 'docker-credential-own': 'echo hunter2' }],
  ])('one that %s is said, its words are not', async (_what, programs) => {
    const client = await makeClient({ credsStore: 'own' }, await makePrograms(programs));
    const failure = await client.credentials('a.example.com').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
    expect(JSON.stringify([String(failure), failure])).not.toContain('hunter2');
  });

  test('a name with a path in it starts nothing', async () => {
    const client = await makeClient({ credsStore: '../../bin/sh' }, '/bin');
    await expect(client.credentials('a.example.com')).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
    });
  });

  test('a config that is not JSON is refused without quoting it', async () => {
    await writeFile(join(home, 'config.json'), '{"auths": hunter2');
    const client = await makeClient();
    const failure = await client.credentials('a.example.com').catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(String((failure as Error).cause)).not.toContain('hunter2');
  });
});
