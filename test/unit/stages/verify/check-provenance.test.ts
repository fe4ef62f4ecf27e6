import { expect, test } from '@jest/globals';
import { hexOf, sha256 } from '../../../../src/model/digest.js';
import { checkProvenance } from '../../../../src/stages/verify/check-provenance.js';

const [seal, base, index, other] = ['seal', 'base', 'index', 'other'].map((text) => sha256(text)) as [
  ReturnType<typeof sha256>,
  ReturnType<typeof sha256>,
  ReturnType<typeof sha256>,
  ReturnType<typeof sha256>,
];
const subject = { name: 'sjs/job:1', seal, baseDigest: base };
const named = (name: string, digest: string, uri?: string) => ({
  name,
  uri,
  digest: { sha256: hexOf(digest as never) },
});
const make = (dependencies: readonly object[], byproducts: readonly object[]) => ({
  buildDefinition: { buildType: 'https://sjs.dev/build/v1', resolvedDependencies: dependencies },
  runDetails: { builder: { id: 'b' }, metadata: { finishedOn: '2026-01-01T00:00:00Z' }, byproducts },
});

test('says what was signed of the base, where that is, and from what the source came', () => {
  const uri = `pkg:oci/node@${base}?repository_url=r.example.com%2Fbase%2Fnode`;
  const git = { name: 'git', digest: { gitCommit: 'c0ffee' } };
  const predicate = make([named('base', base, uri), named('base index', index), git], [named('seal', seal)]);
  expect(checkProvenance(predicate, subject)).toEqual({
    signedBase: index,
    baseImage: 'r.example.com/base/node',
    buildType: 'https://sjs.dev/build/v1',
    builder: 'b',
    finishedOn: '2026-01-01T00:00:00Z',
    commit: 'c0ffee',
  });
  expect(checkProvenance(make([named('base', base)], [named('seal', seal)]), subject)).toMatchObject({
    signedBase: base,
    baseImage: null,
    commit: null,
  });
});

test.each([
  ['no seal', make([named('base', base)], [])],
  ['another seal', make([named('base', base)], [named('seal', other)])],
  ['two seals', make([named('base', base)], [named('seal', seal), named('seal', other)])],
  ['no base', make([], [named('seal', seal)])],
  ['another base', make([named('base', other)], [named('seal', seal)])],
  ['two bases', make([named('base', base), named('base', other)], [named('seal', seal)])],
  ['nothing', {}],
  ['what is no provenance', { buildDefinition: 7, runDetails: [null] }],
])('with %s it is not of this image', (_what, predicate) => {
  expect(() => checkProvenance(predicate, subject)).toThrow(
    expect.objectContaining({ code: 'ATTESTATION_MISMATCH' }),
  );
});
