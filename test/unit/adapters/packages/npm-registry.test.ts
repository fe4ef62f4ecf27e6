import { chmod, chown, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createNpmRegistry } from '../../../../src/adapters/packages/npm-registry.js';
import { PACKAGE_LIMITS, type LockedPackage } from '../../../../src/model/locked-package.js';
import { makePackage, startRegistry, type TestRegistry } from '../../../support/package-registry.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();
let server: TestRegistry;
let home: string;
let warnings: string[];
beforeEach(async () => {
  server = await startRegistry();
  home = await makeFolder();
  warnings = [];
});
afterEach(() => server.close());

/** With the operator's npmrc naming the registry. */
async function connect(npmrc = '', env: NodeJS.ProcessEnv = {}) {
  await writeFile(join(home, '.npmrc'), `registry=${server.url}/\nfetch-retries=0\n${npmrc}`);
  const onWarning = (message: string): void => void warnings.push(message);
  return createNpmRegistry({ env: { PATH: '', ...env }, home, cacheFolder: join(home, 'cache'), onWarning });
}

async function add(name = 'a', files: Record<string, string> = {}): Promise<LockedPackage> {
  const { integrity } = server.add(name, '1.0.0', await makePackage(name, '1.0.0', files));
  const own = { location: `node_modules/${name}`, name, version: '1.0.0', integrity, bundledIn: null };
  return { ...own, resolved: null, hasInstallScript: false, worksWithoutScript: false, aliases: {} };
}

async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of content) bytes += chunk.length;
  return bytes;
}

const files = async (): Promise<string[]> =>
  (await readdir(join(home, 'cache'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test('a tarball is fetched once, and checked at each read', async () => {
  const [registry, wanted] = [await connect(), await add('@s/a')];
  await registry.fetch(wanted);
  await registry.fetch(wanted);
  expect(server.seen).toEqual(['/@s/a/-/a-1.0.0.tgz']);
  expect(await bytesOf(registry.open(wanted))).toBe(server.tarballs.get('/@s/a/-/a-1.0.0.tgz')?.length);
});

test('a lockfile made against the public registry is served by the configured one', async () => {
  const { default: definitions } = await import('@npmcli/config/lib/definitions/index.js');
  const [registry, wanted] = [await connect(), await add()];
  const resolved = new URL('a/-/a-1.0.0.tgz', definitions.definitions.registry.default).href;
  expect((await registry.addresses())(new URL(resolved), 'a')).toBe(true);
  await registry.fetch({ ...wanted, resolved });
  expect(server.seen).toEqual(['/a/-/a-1.0.0.tgz']);
});

test('whose an address is, says the operator alone', async () => {
  const registry = await connect('@s:registry=https://scoped.example/npm/\n');
  const isOwn = await registry.addresses();
  expect(isOwn(new URL(`${server.url}/a/-/a-1.0.0.tgz`), 'a')).toBe(true);
  expect(isOwn(new URL('https://scoped.example/npm/@s/a/-/a.tgz'), '@s/a')).toBe(true);
  for (const [address, name] of [
    ['https://scoped.example/npm/a/-/a.tgz', 'a'],
    ['https://scoped.example/other/@s/a/-/a.tgz', '@s/a'],
    ['http://scoped.example/npm/@s/a/-/a.tgz', '@s/a'],
    ['https://evil.example/a/-/a.tgz', 'a'],
  ] as const)
    expect([address, isOwn(new URL(address), name)]).toEqual([address, false]);
});

describe('a poisoned cache', () => {
  test('is noticed, and the tarball fetched again', async () => {
    const [registry, wanted] = [await connect(), await add()];
    await registry.fetch(wanted);
    const [file = ''] = await files();
    await chmod(file, 0o600);
    await writeFile(file, 'evil');
    await expect(bytesOf(registry.open(wanted))).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
    await registry.fetch(wanted);
    expect(warnings).toEqual([expect.stringContaining('was changed')]);
    expect(server.seen).toHaveLength(2);
    await expect(bytesOf(registry.open(wanted))).resolves.toBeGreaterThan(100);
  });

  test('is refused offline; what it has right is used', async () => {
    const wanted = await add();
    await (await connect()).fetch(wanted);
    const offline = await connect('offline=true\n');
    await offline.fetch(wanted);
    await writeFile((await files())[0] ?? '', 'evil');
    await expect(offline.fetch(wanted)).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
    expect(server.seen).toHaveLength(1);
  });
});

test('other bytes than the lockfile’s are refused, and nothing is kept', async () => {
  const [registry, wanted] = [await connect(), await add()];
  server.tarballs.set('/a/-/a-1.0.0.tgz', await makePackage('a', '1.0.0', { 'evil.js': '' }));
  await expect(registry.fetch(wanted)).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  expect(await files()).toEqual([]);
});

test('what the registry does not have, and a registry that is not there', async () => {
  const [registry, wanted] = [await connect(), await add()];
  server.tarballs.clear();
  // Many at once: some answers are there before anybody reads them.
  for (const result of await Promise.allSettled(Array.from({ length: 30 }, () => registry.fetch(wanted)))) {
    expect(result).toMatchObject({
      reason: { code: 'PACKAGE_UNAVAILABLE', message: expect.stringContaining('does not have it') },
    });
  }
  const gone = await connect('', { NPM_CONFIG_REGISTRY: 'http://127.0.0.1:1/' });
  await expect(gone.fetch(wanted)).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
});

test('of two at once each gets its own', async () => {
  const registry = await connect();
  const all = await Promise.all(['a', 'b', 'c'].map((name) => add(name, { 'x.js': name })));
  await Promise.all([...all, ...all].map((one) => registry.fetch(one)));
  for (const one of all) await expect(bytesOf(registry.open(one))).resolves.toBeGreaterThan(100);
  expect(await files()).toHaveLength(3);
});

describe('a registry that misbehaves', () => {
  const tarballOf = (path = '/a/-/a-1.0.0.tgz'): Buffer => server.tarballs.get(path) ?? Buffer.of();
  const timers = new Set<NodeJS.Timeout>();
  afterEach(() => timers.forEach((timer) => clearInterval(timer)));

  test.each<[string, (tarball: Buffer) => RequestListener, string]>([
    ['answers 500', () => (_, response) => response.writeHead(500).end('{}'), 'PACKAGE_UNAVAILABLE'],
    ['answers 429', () => (_, response) => response.writeHead(429).end('{}'), 'PACKAGE_UNAVAILABLE'],
    ['wants credentials', () => (_, response) => response.writeHead(401).end('{}'), 'PACKAGE_UNAVAILABLE'],
    [
      'hangs up in the middle',
      (tarball) => (_, response) => {
        response.writeHead(200, { 'content-length': tarball.length });
        response.write(tarball.subarray(0, 100), () => response.destroy());
      },
      'PACKAGE_UNAVAILABLE',
    ],
    [
      'promises more than it sends',
      (tarball) => (_, response) => {
        response.writeHead(200, { 'content-length': tarball.length + 100 });
        response.write(tarball, () => response.destroy());
      },
      'PACKAGE_UNAVAILABLE',
    ],
    [
      'sends less than all, and says so',
      (tarball) => (_, response) =>
        response.writeHead(200, { 'content-length': 100 }).end(tarball.subarray(0, 100)),
      'PACKAGE_MISMATCH',
    ],
    [
      'sends more than all',
      (tarball) => (_, response) => response.end(Buffer.concat([tarball, Buffer.alloc(10)])),
      'PACKAGE_MISMATCH',
    ],
    ['sends a page', () => (_, response) => response.end('<html>Sign in</html>'), 'PACKAGE_MISMATCH'],
    [
      'sends one to the next address for ever',
      () => (request, response) =>
        response.writeHead(302, { location: `${server.url}${request.url}x` }).end(),
      'PACKAGE_UNAVAILABLE',
    ],
  ])('that %s: nothing is kept, and the next answer counts', async (_what, answerWith, code) => {
    const [registry, wanted] = [await connect(), await add()];
    server.answer = answerWith(tarballOf());
    await expect(registry.fetch(wanted)).rejects.toMatchObject({ code });
    expect(await files()).toEqual([]);
    server.answer = null;
    await registry.fetch(wanted);
    expect(await bytesOf(registry.open(wanted))).toBe(tarballOf().length);
  });

  test('that never ends its tarball is cut off at the bound of one', async () => {
    const [registry, wanted] = [await connect(), await add()];
    const most = 4 * 1024 ** 2;
    jest.replaceProperty(PACKAGE_LIMITS, 'tarballBytes', most);
    let sent = 0;
    server.answer = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024))) sent += 64 * 1024;
      };
      response.on('drain', more);
      more();
    };
    await expect(registry.fetch(wanted)).rejects.toMatchObject({ code: 'PACKAGE_TOO_LARGE' });
    expect(sent).toBeLessThan(16 * most);
    expect(await files()).toEqual([]);
    jest.restoreAllMocks();
  });

  test.each<[string, RequestListener]>([
    ['never answers', () => undefined],
    ['never goes on', (_, response) => void response.writeHead(200).write('x')],
    [
      'sends a byte now and then',
      (_, response) => void timers.add(setInterval(() => void response.write('x'), 20)),
    ],
  ])('that %s holds nobody who does not want to wait', async (_what, answer) => {
    const [registry, wanted] = [await connect(), await add()];
    server.answer = answer;
    const stop = new AbortController();
    const why = new Error('stopped');
    const fetching = registry.fetch(wanted, stop.signal);
    setTimeout(() => stop.abort(why), 200);
    await expect(fetching).rejects.toBe(why);
    expect(await files()).toEqual([]);
  });
});

describe('pruning', () => {
  const DAY_MS = 24 * 3_600_000;
  const age = (file: string, days: number): Promise<void> => {
    const then = (Date.now() - days * DAY_MS) / 1000;
    return utimes(file, then, then);
  };

  test('takes what nobody has asked for since, and what a killed sjs left half written', async () => {
    const registry = await connect();
    const [old, used, fresh] = await Promise.all(['old', 'used', 'fresh'].map((name) => add(name)));
    for (const one of [old, used]) await registry.fetch(one!);
    const [first = '', second = ''] = await files();
    for (const file of [first, second]) await age(file, 40);
    // Asked for again, it is in use.
    await registry.fetch(used!);
    await registry.fetch(fresh!);
    const [half, writing] = [`${first}.012345678901.tmp`, `${second}.012345678901.tmp`];
    for (const file of [half, writing]) await writeFile(file, 'half');
    await age(half, 1);
    const before = Date.now() - 30 * DAY_MS;
    const planned = await registry.prune({ before, dryRun: true });
    expect(planned.count).toBe(2);
    expect(await files()).toHaveLength(5);
    expect(await registry.prune({ before, dryRun: false })).toEqual(planned);
    expect(await files()).toHaveLength(3);
    expect(await registry.prune({ before, dryRun: false })).toEqual({ count: 0, bytes: 0 });
    for (const one of [used!, fresh!])
      await expect(bytesOf(registry.open(one))).resolves.toBeGreaterThan(100);
    await registry.fetch(old!);
    expect(server.seen.filter((path) => path.includes('old'))).toHaveLength(2);
  });

  test('leaves what a build has touched, though it needed no byte of it', async () => {
    const [registry, wanted] = [await connect(), await add()];
    // Of one that is not there nothing is to say.
    await registry.touch(wanted);
    expect(server.seen).toEqual([]);
    await registry.fetch(wanted);
    for (const file of await files()) await age(file, 40);
    await registry.touch(wanted);
    const before = Date.now() - 30 * DAY_MS;
    expect(await registry.prune({ before, dryRun: false })).toEqual({ count: 0, bytes: 0 });
  });

  test('leaves what a build may be about to use, whatever the policy keeps; follows no link', async () => {
    const [registry, wanted] = [await connect(), await add()];
    await registry.fetch(wanted);
    const outside = join(await makeFolder({ kept: 'x' }));
    await age(join(outside, 'kept'), 90);
    await symlink(outside, join(home, 'cache', 'link'));
    expect(await registry.prune({ before: Date.now() + DAY_MS, dryRun: false })).toEqual({
      count: 0,
      bytes: 0,
    });
    await expect(bytesOf(registry.open(wanted))).resolves.toBeGreaterThan(100);
    expect(await readdir(outside)).toEqual(['kept']);
  });

  test('goes on when something cannot be removed, and says so', async () => {
    const registry = await connect();
    for (const name of ['a', 'b']) await registry.fetch(await add(name));
    const [stuck = '', other = ''] = await files();
    for (const file of [stuck, other]) await age(file, 40);
    // Root may remove everything.
    const isRoot = process.getuid?.() === 0;
    const cache = join(home, 'cache');
    for (const folder of [home, cache, join(cache, 'sha512')]) await chmod(folder, 0o755);
    await chmod(dirname(stuck), 0o555);
    if (isRoot) await chown(dirname(other), 65534, 65534);
    const prune = () => registry.prune({ before: Date.now() - 30 * DAY_MS, dryRun: false });
    try {
      if (isRoot) process.seteuid?.(65534);
      expect(await prune()).toMatchObject({ count: 1 });
      expect(warnings).toEqual([expect.stringContaining('EACCES')]);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(dirname(stuck), 0o755);
    }
    expect(await files()).toEqual([stuck]);
    // Nor does a cache that cannot be looked through undo what was removed before it.
    await rm(cache, { recursive: true });
    await writeFile(cache, '');
    expect(await prune()).toEqual({ count: 0, bytes: 0 });
    expect(warnings).toEqual([expect.anything(), expect.stringContaining('cannot be used')]);
  });

  test('of no cache is nothing', async () => {
    expect(await (await connect()).prune({ before: Date.now(), dryRun: false })).toEqual({
      count: 0,
      bytes: 0,
    });
  });
});
