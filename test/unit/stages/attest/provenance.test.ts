import { expect, test } from '@jest/globals';
import { hexOf, sha256 } from '../../../../src/model/digest.js';
import { buildProvenance } from '../../../../src/stages/attest/provenance.js';
import { makeBuildFacts, makeContents } from '../../../support/contents.js';
import { makeEntry } from '../../../support/records.js';

const contents = makeContents();
const withBuild = (build: ReturnType<typeof makeBuildFacts>) =>
  buildProvenance({ ...contents, entry: { ...contents.entry, build } });
const IMAGE = { image: 'registry.example.com/base/node' };
const sha = (text: string) => ({ sha256: hexOf(sha256(text)) });

test('names what was asked for, what sjs added, what went in and what came out', () => {
  const { buildDefinition, runDetails } = buildProvenance(contents);
  expect(buildDefinition).toMatchObject({
    buildType: 'https://sjs.dev/build/v1',
    externalParameters: {
      sandbox: { name: 'job', version: '1.0.0', digest: sha('sandbox.yaml') },
      lock: { digest: sha('sandbox.lock') },
      user: '65532:65532',
      rights: { network: { mode: 'none' }, secrets: [] },
      platform: { os: 'linux', architecture: 'amd64' },
    },
    internalParameters: {
      template: { digest: sha('template') },
      policy: { digest: sha('policy') },
      seccompProfile: { digest: sha('profile') },
    },
  });
  expect(buildDefinition.resolvedDependencies).toEqual([
    {
      name: 'base',
      uri: expect.stringMatching(/^pkg:oci\/node@sha256.*repository_url=registry\.example\.com/),
      digest: sha('manifest'),
      annotations: { ...IMAGE, version: '24.1.0' },
    },
    {
      name: 'base index',
      uri: expect.any(String),
      digest: sha('index'),
      annotations: { ...IMAGE, version: '24.1.0', signer: sha256('key') },
    },
    { name: '@scope/one', uri: 'pkg:npm/%40scope/one@1.0.0', digest: { sha512: '61'.repeat(64) } },
    { name: 'two', uri: 'pkg:npm/two@2.0.0-rc.1', digest: { sha512: '62'.repeat(64) } },
    { name: 'source', digest: sha('source layer'), annotations: expect.any(Object) },
    {
      name: 'git',
      uri: 'git+https://git.example.com/team/job.git@refs/heads/main',
      digest: { gitCommit: '0123456789abcdef0123456789abcdef01234567' },
      annotations: { ref: 'refs/heads/main', modified: 'unknown' },
    },
  ]);
  expect(runDetails).toEqual({
    builder: {
      id: 'https://sjs.dev/builder/v1',
      version: { sjs: '0.1.0', engine: '28.0.0', cosign: '3.1.0' },
    },
    metadata: {
      invocationId: '0123456789ab',
      startedOn: '2026-01-02T03:04:01Z',
      finishedOn: '2026-01-02T03:04:05Z',
    },
    byproducts: [
      {
        name: 'seal',
        digest: { sha256: hexOf(contents.entry.seal) },
        annotations: { tag: contents.entry.tag },
      },
    ],
  });
});

test('a base that is signed itself stands in it once, with its signer', () => {
  const { base } = contents.entry;
  const entry = { ...contents.entry, base: { ...base, digest: base.manifestDigest } };
  const bases = buildProvenance({ ...contents, entry }).buildDefinition.resolvedDependencies.filter(
    ({ name }) => name?.startsWith('base') === true,
  );
  expect(bases).toEqual([
    expect.objectContaining({
      name: 'base',
      annotations: { ...IMAGE, version: '24.1.0', signer: sha256('key') },
    }),
  ]);
});

test('code that is in no file, and no repository', () => {
  const provenance = withBuild(makeBuildFacts({ sandboxDigest: null, lockDigest: null, git: null }));
  const { externalParameters, resolvedDependencies } = provenance.buildDefinition;
  expect(externalParameters).not.toHaveProperty('lock');
  expect(externalParameters['sandbox']).toEqual({ name: 'job', version: '1.0.0' });
  expect(resolvedDependencies.map(({ name }) => name)).not.toContain('git');
});

test('a commit without a remote that others could reach has no address', () => {
  const git = { commit: 'a'.repeat(40), ref: null, remote: null };
  const { resolvedDependencies } = withBuild(makeBuildFacts({ git })).buildDefinition;
  expect(resolvedDependencies.at(-1)).toEqual({
    name: 'git',
    digest: { gitCommit: 'a'.repeat(40) },
    annotations: { modified: 'unknown' },
  });
});

test.each([
  ['was made elsewhere', { imported: { at: '2026-01-01T00:00:00.000Z', trustedBy: 'hand' } } as const],
  ['an older sjs made', {}],
])('a seal that %s has none', (_what, more) => {
  expect(() => buildProvenance({ ...contents, entry: makeEntry('job', more) })).toThrow(
    expect.objectContaining({ code: 'BUILD_UNKNOWN' }),
  );
});
