import { beforeEach, describe, expect, test } from '@jest/globals';
import { sha256, type Digest } from '../../../../src/model/digest.js';
import type { Lock } from '../../../../src/model/lock.js';
import type { BaseRequest } from '../../../../src/model/sandbox.js';
import { chooseVersion } from '../../../../src/stages/resolve/choose-version.js';
import { resolveBase } from '../../../../src/stages/resolve/resolve-base.js';
import { createFakeRegistry, type FakeRegistry } from '../../../support/fake-registry.js';
import {
  describeContent,
  makeTinyImage,
  makeTinyIndex,
  type TinyImage,
  type TinyImageOptions,
} from '../../../support/tiny-image.js';

const IMAGE = 'registry.example.com/base/node';
const AMD64 = { os: 'linux', architecture: 'amd64' };

let registry: FakeRegistry;
let image: TinyImage;
beforeEach(async () => {
  registry = createFakeRegistry();
  image = await makeTinyImage();
});

const resolve = (
  request: Partial<{ image: string; version: string; digest: Digest }> = {},
  lock: Lock | null = null,
  update = false,
  platform: { os: string; architecture: string; variant?: string } = AMD64,
) => {
  const full = { image: IMAGE, ...('digest' in request ? {} : { version: '>=1' }), ...request };
  return resolveBase(full as BaseRequest, platform, registry, lock, { update });
};

const makeLock = (base: Partial<Lock['base']>): Lock => ({
  lockVersion: 1,
  formatVersion: 1,
  base: {
    image: IMAGE,
    version: '1.0.0',
    digest: image.digest,
    manifests: { 'linux/amd64': image.digest },
    signer: sha256('key'),
    ...base,
  },
  template: { name: 'node', digest: sha256('template') },
  packages: {},
});

async function putBad(options: TinyImageOptions): Promise<void> {
  registry.put(IMAGE, '1.0.0', await makeTinyImage(options));
}

describe('versions', () => {
  const tags = [
    '1.0.0',
    '1.2.0',
    '1.10.0',
    '2.0.0-rc.1',
    'v3.0.0',
    '4',
    '4.1',
    '=5.0.0',
    ' 6.0.0',
    'latest',
    '1.0',
    '01.0.0',
  ];

  test.each([
    ['>=1', '1.10.0'],
    ['^1.0', '1.10.0'],
    ['~1.2.0', '1.2.0'],
    ['1.0.0', '1.0.0'],
    ['*', '1.10.0'],
  ])('%s is %s', (range, version) => {
    expect(chooseVersion(tags, range, IMAGE)).toBe(version);
  });

  test.each(['>=2', '2.0.0-rc.1', '>=2.0.0-rc.1', '3.x'])('%s is not there', (range) => {
    expect(() => chooseVersion(tags, range, IMAGE)).toThrow(
      expect.objectContaining({
        code: 'BASE_VERSION_NOT_FOUND',
        cause: 'it has 1.10.0, 1.2.0, 1.0.0',
      }),
    );
  });

  test('says when no tag is a version, and what is no range', () => {
    expect(() => chooseVersion(['latest'], '1', IMAGE)).toThrow(
      expect.objectContaining({ code: 'BASE_VERSION_NOT_FOUND' }),
    );
    expect(() => chooseVersion(tags, 'newest', IMAGE)).toThrow(
      expect.objectContaining({ code: 'SANDBOX_INVALID' }),
    );
  });
});

describe('resolving', () => {
  test('asks for tags once and for the tag once', async () => {
    registry.put(IMAGE, '1.0.0', await makeTinyImage({ files: { old: '' } }));
    registry.put(IMAGE, '1.1.0', image);
    await expect(resolve()).resolves.toEqual({
      repository: { registry: 'registry.example.com', path: 'base/node' },
      version: '1.1.0',
      digest: image.digest,
      indexDigest: null,
      manifestDigest: image.digest,
      platform: AMD64,
      config: { Env: ['PATH=/usr/bin:/bin'] },
      diffIds: [sha256(image.blobs[1] as Uint8Array)],
      compressedBytes: image.blobs[1]?.length,
    });
    expect(registry.calls.map((call) => call.split(' ')[0])).toEqual(['listTags', 'getManifest', 'getBlob']);
  });

  test('follows a pin as it stands', async () => {
    registry.put(IMAGE, '1.0.0', image);
    await expect(resolve({ digest: image.digest })).resolves.toMatchObject({
      version: null,
      digest: image.digest,
    });
    expect(registry.calls.some((call) => call.startsWith('listTags'))).toBe(false);
  });

  test('keeps both digests of an index, and takes the engine’s platform', async () => {
    const arm = await makeTinyImage({ platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } });
    const index = makeTinyIndex([
      { image: arm, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
      { image, platform: AMD64 },
    ]);
    registry.put(IMAGE, '1.0.0', index);
    await expect(resolve()).resolves.toMatchObject({
      digest: index.digest,
      indexDigest: index.digest,
      manifestDigest: image.digest,
    });
    const armPlatform = { os: 'linux', architecture: 'arm64' };
    await expect(resolve({}, null, false, armPlatform)).resolves.toMatchObject({
      manifestDigest: arm.digest,
    });
    await expect(resolve({}, null, false, { os: 'windows', architecture: 'amd64' })).rejects.toMatchObject({
      code: 'BASE_PLATFORM_MISSING',
      cause: 'it has linux/arm64/v8, linux/amd64',
    });
  });

  test('refuses another platform, also when the index said otherwise', async () => {
    const arm = await makeTinyImage({ platform: { os: 'linux', architecture: 'arm64' } });
    registry.put(IMAGE, '1.0.0', arm);
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_PLATFORM_MISSING' });
    registry.put(IMAGE, '1.0.0', makeTinyIndex([{ image: arm, platform: AMD64 }]));
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_MANIFEST_INVALID' });
  });

  test.each([`${IMAGE}:1.0.0`, `${IMAGE}@${sha256('x')}`])(
    '%s is not pinned where it should be',
    async (name) => {
      await expect(resolve({ image: name })).rejects.toMatchObject({ code: 'BASE_NOT_PINNED' });
    },
  );

  test('says what is not there', async () => {
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_NOT_FOUND' });
    registry.put(IMAGE, '1.0.0', image);
    await expect(resolve({ digest: sha256('absent') })).rejects.toMatchObject({ code: 'BASE_NOT_FOUND' });
    await expect(resolve({ version: '>=2' })).rejects.toMatchObject({ code: 'BASE_VERSION_NOT_FOUND' });
  });
});

describe('the lock', () => {
  beforeEach(async () => {
    registry.put(IMAGE, '1.0.0', image);
    registry.put(IMAGE, '1.1.0', await makeTinyImage({ files: { new: '' } }));
  });

  test('is followed by digest without a look at the tags', async () => {
    await expect(resolve({}, makeLock({}))).resolves.toMatchObject({
      version: '1.0.0',
      digest: image.digest,
    });
    expect(registry.calls[0]).toBe(`getManifest ${IMAGE} ${image.digest}`);
  });

  test('is left aside on update, for another image, and when it no longer answers', async () => {
    for (const resolved of await Promise.all([
      resolve({}, makeLock({}), true),
      resolve({}, makeLock({ image: 'registry.example.com/other' })),
      resolve({ version: '>=1.1' }, makeLock({})),
      resolve({}, makeLock({ version: null })),
      resolve({}, makeLock({ version: 'v1.0.0' })),
    ])) {
      expect(resolved.version).toBe('1.1.0');
    }
  });

  test('does not outweigh a pin', async () => {
    const other = await makeTinyImage({ files: { pinned: '' } });
    registry.put(IMAGE, 'pinned', other);
    await expect(resolve({ digest: other.digest }, makeLock({}))).resolves.toMatchObject({
      digest: other.digest,
    });
  });

  test('that states another manifest than its digest leads to is refused', async () => {
    await expect(resolve({}, makeLock({ manifests: { 'linux/amd64': sha256('x') } }))).rejects.toMatchObject({
      code: 'LOCK_INVALID',
    });
  });

  test('that names what the registry no longer has says so', async () => {
    await expect(resolve({}, makeLock({ digest: sha256('gone') }))).rejects.toMatchObject({
      code: 'BASE_NOT_FOUND',
    });
  });
});

describe('manifests that are refused (ATTACKS B16)', () => {
  const layer = describeContent('application/vnd.oci.image.layer.v1.tar', Buffer.from('x'));
  test.each<[string, Record<string, unknown>]>([
    ['an image and an index at once', { manifests: [] }],
    ['another media type inside than outside', { mediaType: 'application/vnd.oci.image.index.v1+json' }],
    ['no schemaVersion', { schemaVersion: 1 }],
    ['no layers', { layers: [] }],
    ['layers that are no list', { layers: {} }],
    ['a foreign layer', { layers: [{ ...layer, urls: ['https://registry.example.com/x'] }] }],
    ['urls that are no list', { layers: [{ ...layer, urls: 'x' }] }],
    [
      'a non-distributable layer',
      { layers: [{ ...layer, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' }] },
    ],
    ['a layer with a sha512', { layers: [{ ...layer, digest: `sha512:${'0'.repeat(128)}` }] }],
    ['a layer of negative size', { layers: [{ ...layer, size: -1 }] }],
    ['a layer without size', { layers: [{ ...layer, size: undefined }] }],
    ['too many layers', { layers: Array.from({ length: 128 }, () => layer) }],
    ['more layers than its config lists', { layers: [layer, layer] }],
    ['a config of another kind', { config: { ...layer, mediaType: 'application/vnd.example+json' } }],
    ['no config', { config: null }],
  ])('%s', async (_what, manifest) => {
    await putBad({ manifest });
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_MANIFEST_INVALID' });
  });

  test('too large a one', async () => {
    await putBad({ manifest: { layers: [{ ...layer, size: 2 * 1024 ** 3 + 1 }] } });
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_TOO_LARGE' });
    const config = describeContent('application/vnd.oci.image.config.v1+json', Buffer.from('x'));
    await putBad({ manifest: { config: { ...config, size: 5 * 1024 ** 2 } } });
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_TOO_LARGE' });
  });

  test.each<[string, Record<string, unknown>]>([
    ['no platform', { os: undefined }],
    ['no rootfs', { rootfs: null }],
    ['diff IDs that are none', { rootfs: { type: 'layers', diff_ids: ['sha256:x'] } }],
    ['more diff IDs than layers', { rootfs: { type: 'layers', diff_ids: [sha256('a'), sha256('b')] } }],
    ['a config that is a list', { config: [] }],
  ])('a config with %s', async (_what, fields) => {
    await putBad({ image: fields });
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_MANIFEST_INVALID' });
  });

  test('an index in an index, an entry of another algorithm, and what is no JSON', async () => {
    const inner = makeTinyIndex([{ image, platform: AMD64 }]);
    registry.put(IMAGE, '1.0.0', makeTinyIndex([{ image: inner, platform: AMD64 }]));
    await expect(resolve()).rejects.toMatchObject({ code: 'BASE_PLATFORM_MISSING' });
    const put = (bytes: Buffer, mediaType = image.mediaType): void =>
      registry.put(IMAGE, '1.0.0', { digest: sha256(bytes), mediaType, bytes, blobs: [], children: [] });
    const index = 'application/vnd.oci.image.index.v1+json';
    for (const [text, type] of [
      ['{"schemaVersion":2,"manifests":[{"digest":"md5:x"}]}', index],
      ['{"schemaVersion":2,"manifests":[7]}', index],
      ['{"schemaVersion":2}', index],
      ['[]', image.mediaType],
      ['no json', image.mediaType],
      ['{"schemaVersion":2}', 'text/html'],
    ] as const) {
      put(Buffer.from(text), type);
      await expect(resolve()).rejects.toMatchObject({ code: 'BASE_MANIFEST_INVALID' });
    }
  });
});

describe('configs that are refused', () => {
  test.each<[string, Record<string, unknown>]>([
    ['Volumes', { Volumes: { '/data': {} } }],
    ['OnBuild', { OnBuild: ['RUN id'] }],
    ['label dev.sjs.seal', { Labels: { 'dev.sjs.seal': 'x' } }],
    ['label DEV.SJS', { Labels: { 'DEV.SJS': 'x' } }],
    ['field Memory', { Memory: 7 }],
    ['field Env', { Env: { PATH: '/bin' } }],
    ['field Labels', { Labels: ['a'] }],
    ['field User', { User: 0o100 }],
  ])('%s', async (name, config) => {
    await putBad({ config });
    await expect(resolve()).rejects.toMatchObject({
      code: 'BASE_CONFIG_REFUSED',
      message: expect.stringContaining(name),
    });
  });

  test('are reported with all that is in the way', async () => {
    await putBad({ config: { Volumes: { '/data': {} }, OnBuild: ['RUN id'] } });
    await expect(resolve()).rejects.toMatchObject({ problems: [{}, {}] });
  });

  test('do not include what is empty, or what is neutralised later', async () => {
    await putBad({
      config: {
        Volumes: {},
        OnBuild: null,
        Memory: '',
        StopSignal: 'SIGINT',
        Healthcheck: { Test: ['NONE'] },
      },
    });
    await expect(resolve()).resolves.toMatchObject({ config: { StopSignal: 'SIGINT' } });
  });
});
