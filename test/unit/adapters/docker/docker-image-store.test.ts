import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../../src/errors.js';
import { readBuild } from '../../../../src/adapters/docker/build-progress.js';
import type { DockerClient } from '../../../../src/adapters/docker/client.js';
import {
  createDockerImageStore,
  describeImage,
  describeListed,
} from '../../../../src/adapters/docker/docker-image-store.js';

const ID = `sha256:${'a'.repeat(64)}`;
const read = (...lines: readonly unknown[]): Promise<string> =>
  readBuild(
    Readable.from(
      lines.map((line) => Buffer.from(typeof line === 'string' ? line : `${JSON.stringify(line)}\r\n`)),
    ),
    () => undefined,
  );

describe('a build’s answer', () => {
  test('names the image, however it is cut into chunks', async () => {
    const text = `{"id":"moby.buildkit.trace","aux":"AAAA"}\r\n{"id":"moby.image.id","aux":{"ID":"${ID}"}}\r\n`;
    for (let cut = 1; cut < text.length; cut += 7)
      expect(await read(text.slice(0, cut), text.slice(cut))).toBe(ID);
  });

  test.each([
    [
      'an error in the stream',
      [
        { id: 'moby.image.id', aux: { ID } },
        { error: 'no space left', errorDetail: { message: 'no space left' } },
      ],
      /no space left/,
    ],
    ['no image', [{ stream: 'done' }], /without an image/],
    ['an id that is none', [{ id: 'moby.image.id', aux: { ID: 'sha256:abc' } }], /without an image/],
    ['something that is not JSON', ['<html>'], /not JSON/],
    ['half a line', ['{"id":"moby.image.id"'], /not JSON/],
  ])('with %s is a failure', async (_name, lines, words) => {
    await expect(read(...lines)).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: expect.stringMatching(words),
    });
  });

  test('that breaks off is a failure, and control characters of the engine are not passed on', async () => {
    const broken = new Readable({
      read() {
        this.destroy(new Error('ECONNRESET'));
      },
    });
    await expect(readBuild(broken, () => undefined)).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: expect.stringContaining('broke off'),
    });
    const error = (await read({ error: 'x\u001b]52;c;aGk=\u0007y' }).catch(
      (caught: unknown) => caught,
    )) as SjsError;
    // eslint-disable-next-line no-control-regex
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
  });
});

test('a build that never ends is BUILD_TIMEOUT, and its context is closed (ATTACKS D12)', async () => {
  const client = {
    docker: {},
    call: () => Promise.reject(new SjsError('ENGINE_TIMEOUT', 'x')),
  } as unknown as DockerClient;
  const context = Readable.from(['x']);
  await expect(
    createDockerImageStore(client).build(
      () => context,
      'sjs/building:x',
      () => undefined,
    ),
  ).rejects.toMatchObject({
    code: 'BUILD_TIMEOUT',
  });
  expect(context.destroyed).toBe(true);
});

test('what inspect says becomes facts: empty fields go, unknown ones are named', () => {
  const facts = describeImage({
    Id: ID,
    Os: 'linux',
    Architecture: 'arm64',
    Variant: 'v8',
    RootFS: { Layers: [ID] },
    RepoTags: null,
    Size: 7,
    Config: { User: '1:1', Hostname: '', Tty: false, Volumes: null, Cmd: [], NetworkDisabled: true },
  });
  expect(facts).toEqual({
    imageId: ID,
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    diffIds: [ID],
    config: { User: '1:1' },
    unknownConfigFields: ['NetworkDisabled'],
    tags: [],
    sizeBytes: 7,
  });
  expect(() =>
    describeImage({
      Id: ID,
      Os: 'linux',
      Architecture: 'amd64',
      RootFS: { Layers: ['md5:1'] },
      RepoTags: null,
      Size: 1,
      Config: null,
    }),
  ).toThrow(expect.objectContaining({ code: 'ENGINE_FAILED' }));
});

test.each([
  ['nothing', null],
  ['no root file system', { Id: ID, Os: 'linux', Architecture: 'amd64', RootFS: { Layers: 'x' } }],
  ['no platform', { Id: ID, RootFS: { Layers: [ID] } }],
  [
    'labels that are no texts',
    { Id: ID, Os: 'linux', Architecture: 'amd64', RootFS: { Layers: [ID] }, Config: { Labels: { a: 1 } } },
  ],
  [
    'a health check that is no number',
    {
      Id: ID,
      Os: 'linux',
      Architecture: 'amd64',
      RootFS: { Layers: [ID] },
      Config: { Healthcheck: { Interval: Infinity } },
    },
  ],
])('an answer with %s describes no image', (_name, answer) => {
  expect(() => describeImage(answer)).toThrow(expect.objectContaining({ code: 'ENGINE_FAILED' }));
});

test('a list of images keeps what has an id', () => {
  const tags = ['a:1', '<none>:<none>', 7];
  expect(describeListed([null, { Id: 7 }, { Id: ID, RepoTags: tags, Size: 3 }, { Id: ID }])).toEqual([
    { imageId: ID, tags: ['a:1'], sizeBytes: 3 },
    { imageId: ID, tags: [], sizeBytes: 0 },
  ]);
  expect(describeListed(null)).toEqual([]);
});

test.each([
  ['null', [null], /without an image/],
  ['an id in a list', [{ id: 'moby.image.id', aux: { ID: [ID] } }], /without an image/],
  ['words that are no text', [{ stream: 7 }, { status: {} }], /without an image/],
  ['an error that is no text', [{ error: { toString: 1 } }], /does not say why/],
])('a build’s answer with %s is not taken for a broken connection', async (_name, lines, words) => {
  await expect(read(...lines)).rejects.toMatchObject({
    code: 'BUILD_FAILED',
    message: expect.stringMatching(words),
  });
});
