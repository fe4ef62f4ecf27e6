import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { readPush } from '../../../../src/adapters/docker/build-progress.js';
import { sha256 } from '../../../../src/model/digest.js';

const stream = (...messages: readonly object[]): Readable =>
  Readable.from(messages.map((message) => Buffer.from(`${JSON.stringify(message)}\n`)));
const digest = sha256('manifest');

test('gives the digest, and each news of a layer once', async () => {
  const said: string[] = [];
  const pushing = { id: 'a1', status: 'Pushing' };
  const messages = [pushing, pushing, { id: 'b2', status: 'Pushing' }, { id: 'a1', status: 'Pushed' }];
  const end = { aux: { Tag: '1', Digest: digest, Size: 1 } };
  const found = await readPush(stream(...messages, end), 'r/x:1', (text) => void said.push(text));
  expect(found).toBe(digest);
  expect(said).toEqual(['a1: Pushing', 'b2: Pushing', 'a1: Pushed']);
});

test.each([
  ['the registry refuses', [{ error: 'denied: requested access', errorDetail: { message: 'denied' } }]],
  ['nothing is said of a digest', [{ status: 'Pushed' }]],
  ['the digest is none', [{ aux: { Digest: 'sha256:x' } }]],
])('%s: no success', async (_what, messages) => {
  await expect(readPush(stream(...messages), 'r/x:1', () => undefined)).rejects.toMatchObject({
    code: 'PUSH_FAILED',
  });
});
