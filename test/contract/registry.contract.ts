import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../src/model/digest.js';
import type { Registry } from '../../src/ports/registry.js';
import { makeTinyImage, makeTinyIndex, type TinyImage } from '../support/tiny-image.js';

/** One registry under test: how to fill it behind the port's back, and how to end it. */
export interface RegistryUnderTest {
  readonly registry: Registry;
  readonly host: string;
  push(path: string, tag: string, image: TinyImage): Promise<void>;
  stop(): Promise<void>;
}

const ABSENT = sha256('nobody has this');

/** What every {@link Registry} does, the fake as the real. */
export function describeRegistry(name: string, start: () => Promise<RegistryUnderTest>): void {
  describe(`${name} is a Registry`, () => {
    let under: RegistryUnderTest;
    let image: TinyImage;
    const at = (path: string) => ({ registry: under.host, path });

    beforeAll(async () => {
      under = await start();
      image = await makeTinyImage();
      await under.push('base/node', '1.0.0', image);
    });
    afterAll(() => under?.stop());

    test('lists tags, and says when there is no such repository', async () => {
      await under.push('base/tags', '1.0.0', image);
      await under.push('base/tags', '1.1.0', image);
      expect([...(await under.registry.listTags(at('base/tags')))].sort()).toEqual(['1.0.0', '1.1.0']);
      await expect(under.registry.listTags(at('base/absent'))).rejects.toMatchObject({
        code: 'BASE_NOT_FOUND',
      });
    });

    test('gives a manifest by tag and by digest, with the digest of its bytes', async () => {
      for (const reference of ['1.0.0', image.digest]) {
        const manifest = await under.registry.getManifest(at('base/node'), reference);
        expect(manifest.digest).toBe(image.digest);
        expect(sha256(manifest.bytes)).toBe(image.digest);
        expect(manifest.mediaType).toBe(image.mediaType);
      }
    });

    test('says when a manifest or blob is not there', async () => {
      for (const reference of ['9.9.9', ABSENT]) {
        await expect(under.registry.getManifest(at('base/node'), reference)).rejects.toMatchObject({
          code: 'BASE_NOT_FOUND',
        });
      }
      await expect(under.registry.getBlob(at('base/node'), ABSENT, 100)).rejects.toMatchObject({
        code: 'BASE_NOT_FOUND',
      });
    });

    test('gives a blob, and not one that is larger than asked for', async () => {
      const [config] = image.blobs as [Uint8Array];
      const bytes = await under.registry.getBlob(at('base/node'), sha256(config), 10_000);
      expect(Buffer.from(bytes)).toEqual(Buffer.from(config));
      await expect(under.registry.getBlob(at('base/node'), sha256(config), 10)).rejects.toMatchObject({
        code: 'REGISTRY_INVALID_ANSWER',
      });
    });

    test('follows a tag that moves, and keeps the digest', async () => {
      const next = await makeTinyImage({ files: { moved: 'yes' } });
      await under.push('base/moving', '1.0.0', image);
      const before = await under.registry.getManifest(at('base/moving'), '1.0.0');
      await under.push('base/moving', '1.0.0', next);
      expect((await under.registry.getManifest(at('base/moving'), '1.0.0')).digest).toBe(next.digest);
      expect((await under.registry.getManifest(at('base/moving'), before.digest)).digest).toBe(image.digest);
    });

    test('copies an index with all its images by digest, and tags it', async () => {
      const other = await makeTinyImage({ platform: { os: 'linux', architecture: 'arm64' } });
      const index = makeTinyIndex([
        { image, platform: { os: 'linux', architecture: 'amd64' } },
        { image: other, platform: { os: 'linux', architecture: 'arm64' } },
      ]);
      await under.push('base/many', '2.0.0', index);
      const said: string[] = [];
      for (let round = 0; round < 2; round += 1) {
        await under.registry.copy(
          at('base/many'),
          index.digest,
          { ...at('copy/many'), tag: '2.0.0' },
          (line) => said.push(line),
        );
      }
      expect((await under.registry.getManifest(at('copy/many'), '2.0.0')).digest).toBe(index.digest);
      for (const child of index.children) {
        expect((await under.registry.getManifest(at('copy/many'), child.digest)).digest).toBe(child.digest);
        for (const blob of child.blobs) {
          const bytes = await under.registry.getBlob(at('copy/many'), sha256(blob), 1_000_000);
          expect(sha256(bytes)).toBe(sha256(blob));
        }
      }
      expect(said.at(-1)).toContain(index.digest);
    });

    test('does not copy what is not there', async () => {
      const copying = under.registry.copy(
        at('base/node'),
        ABSENT,
        { ...at('copy/none'), tag: '1.0.0' },
        () => undefined,
      );
      await expect(copying).rejects.toMatchObject({ code: 'BASE_NOT_FOUND' });
    });

    test('stops when the signal has fired', async () => {
      const signal = AbortSignal.abort();
      await expect(under.registry.listTags(at('base/node'), signal)).rejects.toMatchObject({
        code: 'ABORTED',
      });
      await expect(under.registry.getManifest(at('base/node'), '1.0.0', signal)).rejects.toMatchObject({
        code: 'ABORTED',
      });
    });

    test('has no credentials where nobody gave any', async () => {
      await expect(under.registry.credentials(under.host)).resolves.toBeNull();
    });
  });
}
