import { expect, test } from '@jest/globals';
import { requirePlatform } from '../../../src/model/platform.js';

const amd64 = { os: 'linux', architecture: 'amd64' };
const arm64 = { os: 'linux', architecture: 'arm64' };

test('an image runs where it need not be emulated', () => {
  requirePlatform(amd64, amd64, 'sjs/job:1');
  requirePlatform({ ...arm64, variant: 'v8' }, arm64, 'sjs/job:1');
});

test.each([
  [arm64, amd64, /^sjs\/job:1 is for linux\/arm64, the engine runs linux\/amd64$/],
  [{ ...amd64, os: 'windows' }, amd64, /windows\/amd64/],
  [{ ...arm64, variant: 'v9' }, { ...arm64, variant: 'v8' }, /v9.*v8/],
  [amd64, null, /does not say/],
])('%j is refused on %j', (sealed, engine, words) => {
  const refused = { code: 'SEAL_PLATFORM_MISMATCH', message: expect.stringMatching(words) };
  expect(() => requirePlatform(sealed, engine, 'sjs/job:1')).toThrow(expect.objectContaining(refused));
});
