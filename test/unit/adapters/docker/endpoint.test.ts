import { afterEach, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findEndpoint } from '../../../../src/adapters/docker/endpoint.js';

const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
});

async function makeHome(files: Record<string, unknown> = {}): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'sjs-home-'));
  folders.push(home);
  for (const [name, value] of Object.entries(files)) {
    const file = join(home, '.docker', name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof value === 'string' ? value : JSON.stringify(value));
  }
  return home;
}

const idOf = (name: string): string => createHash('sha256').update(name).digest('hex');
const context = (name: string, docker: object): Record<string, unknown> => ({
  [`contexts/meta/${idOf(name)}/meta.json`]: { Name: name, Endpoints: { docker } },
});

test('the default socket', async () => {
  const expected = { kind: 'unix', socketPath: '/var/run/docker.sock' };
  expect(await findEndpoint({ env: {}, home: await makeHome() })).toEqual(expected);
  const home = await makeHome({ 'config.json': { currentContext: 'default' } });
  expect(await findEndpoint({ env: {}, home })).toEqual(expected);
});

test('DOCKER_HOST stands above contexts', async () => {
  const home = await makeHome({ 'config.json': { currentContext: 'other' } });
  const env = { DOCKER_HOST: 'unix:///x/y.sock', DOCKER_CONTEXT: 'third' };
  expect(await findEndpoint({ env, home })).toEqual({ kind: 'unix', socketPath: '/x/y.sock' });
});

test('contexts: by DOCKER_CONTEXT, else the current one, with their TLS files', async () => {
  const home = await makeHome({
    'config.json': { currentContext: 'one' },
    ...context('one', { Host: 'unix:///one.sock' }),
    ...context('two', { Host: 'tcp://engine.example.com:2376', SkipTLSVerify: false }),
  });
  expect(await findEndpoint({ env: {}, home })).toEqual({ kind: 'unix', socketPath: '/one.sock' });
  expect(await findEndpoint({ env: { DOCKER_CONTEXT: 'two' }, home })).toEqual({
    kind: 'tls',
    host: 'engine.example.com',
    port: 2376,
    caFile: join(home, '.docker/contexts/tls', idOf('two'), 'docker/ca.pem'),
    certFile: join(home, '.docker/contexts/tls', idOf('two'), 'docker/cert.pem'),
    keyFile: join(home, '.docker/contexts/tls', idOf('two'), 'docker/key.pem'),
  });
});

test('tcp with TLS', async () => {
  const env = { DOCKER_HOST: 'tcp://[::1]:1234', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' };
  expect(await findEndpoint({ env, home: '/nowhere' })).toMatchObject({
    kind: 'tls',
    host: '::1',
    port: 1234,
    keyFile: '/certs/key.pem',
  });
});

test.each<[string, Record<string, string>, string]>([
  ['tcp without TLS', { DOCKER_HOST: 'tcp://10.0.0.1:2375' }, 'ENGINE_UNREACHABLE'],
  ['ssh', { DOCKER_HOST: 'ssh://user@host' }, 'NOT_YET'],
  ['nonsense', { DOCKER_HOST: 'http://x' }, 'ENGINE_UNREACHABLE'],
  ['an unknown context', { DOCKER_CONTEXT: 'gone' }, 'ENGINE_UNREACHABLE'],
])('%s is refused, with what to do', async (_name, env, code) => {
  const home = await makeHome();
  const failure = findEndpoint({ env, home });
  await expect(failure).rejects.toMatchObject({ code, next: expect.any(String) as unknown });
});

test('a context that does not verify, one without a host, and a broken config are refused', async () => {
  const home = await makeHome({
    ...context('lax', { Host: 'tcp://x:1', SkipTLSVerify: true }),
    ...context('empty', {}),
  });
  for (const name of ['lax', 'empty']) {
    await expect(findEndpoint({ env: { DOCKER_CONTEXT: name }, home })).rejects.toMatchObject({
      code: 'ENGINE_UNREACHABLE',
    });
  }
  const broken = await makeHome({ 'config.json': '{' });
  await expect(findEndpoint({ env: {}, home: broken })).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
});
