import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRegistry } from '../../src/adapters/registry/registry-client.js';
import { sha256 } from '../../src/model/digest.js';
import type { Registry } from '../../src/ports/registry.js';
import { resolveBase } from '../../src/stages/resolve/resolve-base.js';
import { startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { makeTinyImage, pushImage, pushTinyImage } from '../support/tiny-image.js';
import { startServer, stopServers } from '../support/tiny-server.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

let home: string;
let first: RunningRegistry;
let second: RunningRegistry;
let registry: Registry;
beforeAll(async () => {
  [home, first, second] = await Promise.all([
    mkdtemp(join(tmpdir(), 'sjs-home-')),
    startRegistry(),
    startRegistry(),
  ]);
  registry = createRegistry({ env: {}, home });
});
afterAll(async () => {
  await Promise.all([first?.stop(), second?.stop(), rm(home, { recursive: true, force: true })]);
});
stopServers();

describe('copy', () => {
  test('goes from registry to registry, and does not send what is there', async () => {
    const image = await makeTinyImage({ files: { big: 'x'.repeat(3_000_000), small: 'y' } });
    await pushImage(first.host, 'base/node', '1.0.0', image);
    const said: string[] = [];
    const copy = (tag: string): Promise<void> =>
      registry.copy(
        { registry: first.host, path: 'base/node' },
        image.digest,
        { registry: second.host, path: 'copy/node', tag },
        (line) => said.push(line),
      );
    await copy('1.0.0');
    expect(said.filter((line) => line.includes('copied'))).toHaveLength(2);
    said.length = 0;
    await copy('1.0.1');
    expect(said.filter((line) => line.includes('there already'))).toHaveLength(2);
    const at = { registry: second.host, path: 'copy/node' };
    expect([...(await registry.listTags(at))].sort()).toEqual(['1.0.0', '1.0.1']);
    expect(sha256(await registry.getBlob(at, sha256(image.blobs[1] as Uint8Array), 10_000_000))).toBe(
      sha256(image.blobs[1] as Uint8Array),
    );
  });

  test('mounts blobs within one registry', async () => {
    const image = await makeTinyImage({ files: { mounted: 'yes' } });
    await pushImage(first.host, 'base/mount', '1.0.0', image);
    const said: string[] = [];
    await registry.copy(
      { registry: first.host, path: 'base/mount' },
      image.digest,
      { registry: first.host, path: 'copy/mount', tag: '1.0.0' },
      (line) => said.push(line),
    );
    expect(said.filter((line) => line.includes('mounted from base/mount'))).toHaveLength(2);
  });

  test('leaves no tag behind when the source sends other bytes', async () => {
    const image = await makeTinyImage();
    const { host } = await startServer((request, response) => {
      const isManifest = request.url?.includes('/manifests/') ?? false;
      if (isManifest)
        return response.writeHead(200, { 'content-type': image.mediaType }).end(Buffer.from(image.bytes));
      const blob = image.blobs.find((bytes) => request.url?.endsWith(sha256(bytes))) as Uint8Array;
      return response.end(Buffer.from(blob).fill('!'));
    });
    const copying = registry.copy(
      { registry: host, path: 'base/node' },
      image.digest,
      { registry: second.host, path: 'copy/lied', tag: '1.0.0' },
      () => undefined,
    );
    await expect(copying).rejects.toMatchObject({ code: 'REGISTRY_DIGEST_MISMATCH' });
    await expect(registry.listTags({ registry: second.host, path: 'copy/lied' })).rejects.toMatchObject({
      code: 'BASE_NOT_FOUND',
    });
  });

  test('fails when the target hangs', async () => {
    const image = await makeTinyImage();
    await pushImage(first.host, 'base/hang', '1.0.0', image);
    const { host } = await startServer(() => undefined);
    const hasty = createRegistry({ env: {}, home, timeoutMs: 300 });
    const copying = hasty.copy(
      { registry: first.host, path: 'base/hang' },
      image.digest,
      { registry: host, path: 'copy/hang', tag: '1.0.0' },
      () => undefined,
    );
    await expect(copying).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });
});

describe('resolving', () => {
  test('a tag that flips afterwards changes nothing: the rest goes by digest (ATTACKS B03)', async () => {
    const digest = await pushTinyImage(first.host, 'base/flip', '1.0.0', { files: { good: '' } });
    const asked: string[] = [];
    const watched: Registry = {
      ...registry,
      async getManifest(repository, reference, signal) {
        asked.push(reference);
        const manifest = await registry.getManifest(repository, reference, signal);
        await pushTinyImage(first.host, 'base/flip', '1.0.0', { files: { evil: '' } });
        return manifest;
      },
    };
    const request = { image: `${first.host}/base/flip`, version: '>=1' };
    const base = await resolveBase(request, PLATFORM, watched, null, { update: false });
    expect(base.digest).toBe(digest);
    expect(asked).toEqual(['1.0.0']);
    const again = await resolveBase({ image: request.image, digest }, PLATFORM, registry, null, {
      update: false,
    });
    expect(again).toEqual({ ...base, version: null });
  });

  test('a stopped registry is unreachable', async () => {
    const stopped = await startRegistry();
    await stopped.stop();
    const request = { image: `${stopped.host}/base/node`, version: '>=1' };
    await expect(resolveBase(request, PLATFORM, registry, null, { update: false })).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
  });
});
