import { createHash } from 'node:crypto';
import { readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import { SjsError } from '../../../src/errors.js';
import { createFileRecordStore } from '../../../src/adapters/store/file-record-store.js';
import { npmSource } from '../../../src/flows/npm-packages.js';
import { provideBeside, providePackages, type LayerTools } from '../../../src/flows/provide-packages.js';
import type { LockedPackage } from '../../../src/model/locked-package.js';
import type { PackageRegistry } from '../../../src/ports/package-registry.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { integrityOf, makePackage } from '../../support/package-registry.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

/** What a build has at hand; each tarball that is asked for is counted. */
async function makeTools(manifest: object = {}) {
  const tarball = await makePackage('a', '1.0.0', { 'index.js': '1' }, manifest);
  const one: LockedPackage = {
    ...{ location: 'node_modules/a', name: 'a', version: '1.0.0', integrity: integrityOf(tarball) },
    ...{ bundledIn: null, resolved: null, hasInstallScript: false, worksWithoutScript: false, aliases: {} },
  };
  const home = await makeFolder();
  const [asked, warnings]: string[][] = [[], []];
  const touched: string[] = [];
  const layers = new Map<string, unknown>();
  const registry: PackageRegistry = {
    addresses: () => Promise.resolve(() => true),
    fetch: ({ name }) => Promise.resolve((asked?.push(name), tarball.length)),
    touch: ({ location }) => Promise.resolve(void touched.push(location)),
    open: () => Readable.from([tarball]),
    prune: () => Promise.resolve({ count: 0, bytes: 0 }),
  };
  const tools: LayerTools = {
    store: createFileRecordStore(home),
    layers: {
      get: (key) => Promise.resolve(layers.get(key) ?? null),
      set: (key, value) => Promise.resolve(void layers.set(key, value)),
    },
    reporter: { ...silentReporter, warn: (message) => void warnings?.push(message) },
  };
  const provide = async (...more: Partial<LockedPackage>[]): Promise<Buffer> => {
    const packages = (more.length === 0 ? [{}] : more).map((change) => ({ ...one, ...change }));
    const open = await providePackages(
      { packages, omitted: 0, source: npmSource(packages, registry) },
      tools,
    );
    return buffer(Readable.from(open()));
  };
  return { home, asked, touched, warnings, provide, layers, store: tools.store, tools, registry, one };
}

test('a layer is laid once: later its list is enough, and nobody is asked', async () => {
  const { asked, warnings, provide } = await makeTools();
  const laid = await provide();
  expect(asked).toEqual(['a']);
  expect((await provide()).equals(laid)).toBe(true);
  expect([asked, warnings]).toEqual([['a'], []]);
});

test('a layer that was laid before keeps its tarballs in use, and itself while it is', async () => {
  const { home, touched, provide } = await makeTools();
  const two = ['node_modules/a', 'node_modules/b/node_modules/a'].map((location) => ({ location }));
  await provide(...two);
  expect(touched).toEqual([]);
  const folder = join(home, 'blobs', 'sha256');
  const [blob = ''] = await readdir(folder);
  const old = new Date(Date.now() - 40 * 24 * 3_600_000);
  await utimes(join(folder, blob), old, old);
  await provide(...two);
  expect(touched).toEqual(['node_modules/b/node_modules/a']);
  expect((await stat(join(folder, blob))).mtimeMs).toBeGreaterThan(Date.now() - 3_600_000);
});

test('a kept layer that somebody changed is noticed before anything of it is used, and laid anew', async () => {
  const { home, asked, warnings, provide } = await makeTools();
  const laid = await provide();
  const [blob = ''] = await readdir(join(home, 'blobs', 'sha256'));
  await writeFile(join(home, 'blobs', 'sha256', blob), Buffer.from(laid).fill(0x41, 600, 700));
  expect((await provide()).equals(laid)).toBe(true);
  expect(asked).toEqual(['a', 'a']);
  expect(warnings).toEqual([expect.stringContaining('the cached layer of packages was changed')]);
  expect((await provide()).equals(laid)).toBe(true);
  expect(asked).toHaveLength(2);
});

test('a layer that another list was laid of, or that a program wrote, is not taken for it', async () => {
  const { asked, provide, layers, store } = await makeTools();
  const laid = await provide();
  const writer = await store.createBlob();
  await writer.write(Buffer.from(laid).fill(0x41, 600, 700));
  const { digest } = await writer.commit();
  const [[key, known] = ['', {}]] = layers;
  for (const forged of [digest, { ...(known as object), digest }]) {
    layers.set(key, forged);
    expect((await provide()).equals(laid)).toBe(true);
  }
  expect(asked).toEqual(['a', 'a', 'a']);
});

test('a tarball that lies in several places is fetched once', async () => {
  const { asked, provide } = await makeTools();
  const places = ['node_modules/a', 'node_modules/b/node_modules/a', 'node_modules/c/node_modules/a'];
  await provide(...places.map((location) => ({ location })));
  expect(asked).toEqual(['a']);
});

test('an alias that only the lockfile knows is refused, whether or not the same list was laid before', async () => {
  const { provide } = await makeTools();
  await expect(provide()).resolves.toBeDefined();
  await expect(provide({ aliases: { b: 'c' } })).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
});

test('a layer that was laid with leave to be without an install script is no leave for the next', async () => {
  const { provide } = await makeTools({ scripts: { install: 'x' } });
  await expect(provide({ worksWithoutScript: true })).resolves.toBeDefined();
  await expect(provide()).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
});

test('packages are fetched while the base is checked, and one that is refused ends that', async () => {
  const { tools, registry, one } = await makeTools();
  const refused = new SjsError('BASE_ROOTFS_REFUSED', 'it has setuid files');
  let refuse: (error: SjsError) => void = () => undefined;
  const checking = new Promise<void>((_done, fail) => (refuse = fail));
  let stopped: unknown;
  // Never comes: only the signal ends it.
  const fetch = (_wanted: LockedPackage, signal?: AbortSignal): Promise<number> => {
    refuse(refused);
    return new Promise((_done, fail) =>
      signal?.addEventListener('abort', () => fail((stopped = signal.reason) as Error)),
    );
  };
  const source = npmSource([one], { ...registry, fetch });
  await expect(provideBeside(checking, { packages: [one], omitted: 0, source }, tools)).rejects.toBe(refused);
  expect(stopped).toMatchObject({ code: 'ABORTED' });
});

test('packages that come to more than they may unpack to are not fetched to the end', async () => {
  const { tools, registry, one } = await makeTools();
  const fetched: string[] = [];
  const fetch = ({ name }: LockedPackage): Promise<number> =>
    Promise.resolve((fetched.push(name), 256 * 1024 ** 2));
  const packages = Array.from({ length: 100 }, (_, at) => {
    const integrity = `sha512-${createHash('sha512').update(String(at)).digest('base64')}`;
    return { ...one, name: `p${at}`, location: `node_modules/p${at}`, integrity };
  });
  const source = npmSource(packages, { ...registry, fetch });
  await expect(providePackages({ packages, omitted: 0, source }, tools)).rejects.toMatchObject({
    code: 'PACKAGE_TOO_LARGE',
    message: 'the packages are larger than 1Gi',
  });
  expect(fetched.length).toBeLessThan(20);
});

test('of a base and packages that both fail, the base is what is told', async () => {
  const { tools, registry, one } = await makeTools();
  const broken = { ...registry, fetch: () => Promise.reject(new SjsError('PACKAGE_UNAVAILABLE', 'gone')) };
  const chosen = { packages: [one], omitted: 0, source: npmSource([one], broken) };
  const provide = (checking: Promise<void>): Promise<unknown> => provideBeside(checking, chosen, tools);
  await expect(provide(Promise.resolve())).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
  const refused = Promise.reject(new SjsError('BASE_ROOTFS_REFUSED', 'it has setuid files'));
  await expect(provide(refused)).rejects.toMatchObject({ code: 'BASE_ROOTFS_REFUSED' });
});
