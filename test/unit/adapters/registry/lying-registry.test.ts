import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { createRegistry } from '../../../../src/adapters/registry/registry-client.js';
import { sha256 } from '../../../../src/model/digest.js';
import { findFreePort } from '../../../support/registry-process.js';
import { makeTinyImage, MANIFEST } from '../../../support/tiny-image.js';
import { startServer, stopServers } from '../../../support/tiny-server.js';

stopServers();

const registry = createRegistry({ env: {}, home: '/nonexistent', timeoutMs: 10_000 });
const hasty = createRegistry({ env: {}, home: '/nonexistent', timeoutMs: 200 });
const at = (host: string) => ({ registry: host, path: 'base/node' });

describe('a registry that is not there or silent', () => {
  test('nobody listens', async () => {
    const host = `127.0.0.1:${await findFreePort()}`;
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: `${host} cannot be reached`,
      cause: expect.objectContaining({ code: 'ECONNREFUSED' }),
    });
  });

  test('it accepts and hangs', async () => {
    const { host } = await startServer(() => undefined);
    for (const call of [hasty.listTags(at(host)), hasty.getManifest(at(host), '1.0.0')]) {
      await expect(call).rejects.toMatchObject({
        code: 'REGISTRY_UNREACHABLE',
        message: `${host} did not answer within 0.2 s`,
      });
    }
  });

  test('it begins to answer and hangs', async () => {
    const { host } = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{');
    });
    await expect(hasty.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
  });

  test('it breaks off', async () => {
    const { host } = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
    });
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
  });

  test.each([
    [500, 'REGISTRY_UNREACHABLE'],
    [503, 'REGISTRY_UNREACHABLE'],
    [429, 'REGISTRY_UNREACHABLE'],
    [401, 'REGISTRY_UNAUTHORIZED'],
    [403, 'REGISTRY_UNAUTHORIZED'],
    [404, 'BASE_NOT_FOUND'],
    [418, 'REGISTRY_INVALID_ANSWER'],
    [204, 'REGISTRY_INVALID_ANSWER'],
  ])('it answers %i: %s', async (status, code) => {
    const { host } = await startServer((_request, response) => response.writeHead(status).end());
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({ code });
    await expect(registry.listTags(at(host))).rejects.toMatchObject({ code });
  });

  test('a caller who gives up ends it at once', async () => {
    const controller = new AbortController();
    const { host } = await startServer(() => controller.abort());
    await expect(registry.getManifest(at(host), '1.0.0', controller.signal)).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('a registry that lies', () => {
  test('other bytes than the digest asked for', async () => {
    const image = await makeTinyImage();
    const { host } = await startServer((_request, response) =>
      response
        .writeHead(200, { 'content-type': MANIFEST })
        .end(Buffer.concat([image.bytes, Buffer.from(' ')])),
    );
    await expect(registry.getManifest(at(host), image.digest)).rejects.toMatchObject({
      code: 'REGISTRY_DIGEST_MISMATCH',
    });
    await expect(registry.getBlob(at(host), sha256('x'), 10_000)).rejects.toMatchObject({
      code: 'REGISTRY_DIGEST_MISMATCH',
    });
  });

  test('a digest in the header that the bytes do not have', async () => {
    const image = await makeTinyImage();
    const { host } = await startServer((_request, response) =>
      response
        .writeHead(200, { 'content-type': MANIFEST, 'docker-content-digest': sha256('other') })
        .end(Buffer.from(image.bytes)),
    );
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_DIGEST_MISMATCH',
    });
  });

  test('a manifest without end', async () => {
    const { host } = await startServer((_request, response) => {
      response.writeHead(200, { 'content-type': MANIFEST });
      const chunk = Buffer.alloc(1024 ** 2, ' ');
      const pour = async (): Promise<void> => {
        while (!response.destroyed)
          if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      };
      void pour();
    });
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_INVALID_ANSWER',
    });
  });

  test.each([
    ['no JSON', 'oops'],
    ['no list', '{"tags":"1.0.0"}'],
    ['no names', '{"tags":[1]}'],
  ])('tags that are %s', async (_what, body) => {
    const { host } = await startServer((_request, response) => response.end(body));
    await expect(registry.listTags(at(host))).rejects.toMatchObject({ code: 'REGISTRY_INVALID_ANSWER' });
  });

  test('a list of tags that never ends, or goes on elsewhere', async () => {
    let page = 0;
    const endless = await startServer((_request, response) => {
      page += 1;
      response.setHeader('link', `</v2/base/node/tags/list?n=1000&last=${page}>; rel="next"`);
      response.end('{"tags":["1.0.0"]}');
    });
    await expect(registry.listTags(at(endless.host))).rejects.toMatchObject({
      code: 'REGISTRY_INVALID_ANSWER',
    });
    expect(page).toBeLessThanOrEqual(100);

    const other = await startServer((_request, response) => response.end('{"tags":["9.9.9"]}'));
    const leading = await startServer((_request, response) => {
      response.setHeader('link', `<http://${other.host}/v2/base/node/tags/list>; rel="next"`);
      response.end('{"tags":["1.0.0"]}');
    });
    await expect(registry.listTags(at(leading.host))).rejects.toMatchObject({
      code: 'REGISTRY_INVALID_ANSWER',
    });
    expect(other.seen).toEqual([]);
  });

  test('an empty repository, and pages of tags', async () => {
    const { host, seen } = await startServer((request, response) => {
      if (request.url?.includes('last=')) return response.end('{"tags":["2.0.0"]}');
      response.setHeader('link', '</v2/base/node/tags/list?n=1000&last=1.0.0>; rel="next"');
      return response.end('{"tags":["1.0.0"]}');
    });
    await expect(registry.listTags(at(host))).resolves.toEqual(['1.0.0', '2.0.0']);
    expect(seen).toHaveLength(2);
    const empty = await startServer((_request, response) => response.end('{"tags":null}'));
    await expect(registry.listTags(at(empty.host))).resolves.toEqual([]);
  });

  test('words of the registry reach no terminal as they are', async () => {
    const { host } = await startServer((_request, response) =>
      response.writeHead(500).end('\u001b[2Jboom\u202e'),
    );
    await expect(registry.listTags(at(host))).rejects.toMatchObject({ cause: '500 \\x1b[2Jboom\\u202e' });
  });
});

describe('redirects', () => {
  test('are followed, without the authorization at another host', async () => {
    const image = await makeTinyImage();
    const store = await startServer((_request, response) =>
      response.writeHead(200, { 'content-type': MANIFEST }).end(Buffer.from(image.bytes)),
    );
    const tokens = await startServer((_request, response) => response.end('{"token":"let-me-in"}'));
    const signed = await startServer((request, response) => {
      if (request.headers.authorization !== 'Bearer let-me-in') {
        return response
          .writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/token"` })
          .end();
      }
      return response.writeHead(307, { location: `http://${store.host}/stored` }).end();
    });
    await expect(registry.getManifest(at(signed.host), image.digest)).resolves.toMatchObject({
      digest: image.digest,
    });
    expect(signed.seen.at(-1)?.authorization).toBe('Bearer let-me-in');
    expect(store.seen).toEqual([{ method: 'GET', url: '/stored', authorization: undefined }]);
  });

  test('do not go round for ever', async () => {
    const { host, seen } = await startServer((request, response) =>
      response.writeHead(302, { location: `${request.url ?? ''}x` }).end(),
    );
    await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_INVALID_ANSWER',
    });
    expect(seen.length).toBeLessThan(10);
  });

  test.each(['http://registry.example.com/x', 'ftp://127.0.0.1/x', 'http://user:pw@127.0.0.1/x', 'http://['])(
    'do not lead to %s',
    async (location) => {
      const { host } = await startServer((_request, response) => response.writeHead(302, { location }).end());
      await expect(registry.getManifest(at(host), '1.0.0')).rejects.toMatchObject({
        code: 'REGISTRY_INVALID_ANSWER',
      });
    },
  );
});
