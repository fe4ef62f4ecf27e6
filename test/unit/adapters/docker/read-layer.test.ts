import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { findLayer } from '../../../../src/adapters/docker/read-layer.js';
import { sha256, type Digest } from '../../../../src/model/digest.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();
const LAYER = Buffer.alloc(300_000, 'layer');
const digest: Digest = `sha256:${createHash('sha256').update(LAYER).digest('hex')}`;

function archiveOf(...contents: Buffer[]): Readable {
  const archive = pack();
  for (const content of contents)
    archive.entry({ name: `blobs/sha256/${sha256(content).slice(7)}` }, content);
  archive.finalize();
  return archive as unknown as Readable;
}

test.each([
  ['as it is', [LAYER]],
  ['compressed', [gzipSync(LAYER)]],
  ['behind another', [gzipSync(Buffer.from('other')), gzipSync(LAYER)]],
  // Nothing takes the rest of it once it is known to be broken.
  [
    'behind what only begins like one',
    [Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(4 * 1024 ** 2, 1)]), gzipSync(LAYER)],
  ],
  [
    'behind one that is broken in its middle',
    [Buffer.from(gzipSync(Buffer.alloc(1024 ** 2, 'x'))).fill(0xff, 20, 200), LAYER],
  ],
  [
    'behind one with much behind its end',
    [Buffer.concat([gzipSync(Buffer.from('other')), Buffer.alloc(4 * 1024 ** 2)]), LAYER],
  ],
])('a layer is found %s', async (_where, contents) => {
  const file = join(await makeFolder(), 'layer.tar');
  expect(await findLayer(archiveOf(...contents), digest, [], file)).toBe(true);
  expect((await readFile(file)).equals(LAYER)).toBe(true);
});

test('a layer is found behind one that is broken, when the archive comes in pieces', async () => {
  const broken = Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(8 * 1024 ** 2, 1)]);
  const all = await buffer(archiveOf(broken, LAYER));
  const slowly = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < all.length; at += 50_000) {
      yield all.subarray(at, at + 50_000);
      await new Promise(setImmediate);
    }
  };
  const file = join(await makeFolder(), 'layer.tar');
  expect(await findLayer(Readable.from(slowly(), { objectMode: false }), digest, [], file)).toBe(true);
  expect((await readFile(file)).equals(LAYER)).toBe(true);
});

test('one that is not there is not found', async () => {
  const file = join(await makeFolder(), 'layer.tar');
  expect(await findLayer(archiveOf(gzipSync(Buffer.from('other'))), digest, [], file)).toBe(false);
});
