import type { BuildFacts } from '../../src/model/build-facts.js';
import { sha256 } from '../../src/model/digest.js';
import type { ContentFile, ImageContents } from '../../src/model/image-contents.js';
import { computeSeal } from '../../src/model/sealed-image.js';
import { decodeLabels } from '../../src/model/sealed-labels.js';
import { makeEntry } from './records.js';
import { makeImage } from './sandbox.js';

/** How a seal was made, as a build keeps it. */
export function makeBuildFacts(overrides: Partial<BuildFacts> = {}): BuildFacts {
  return {
    invocationId: '0123456789ab',
    startedAt: '2026-01-02T03:04:01.120Z',
    finishedAt: '2026-01-02T03:04:05.000Z',
    sandboxDigest: sha256('sandbox.yaml'),
    lockDigest: sha256('sandbox.lock'),
    contextDigest: sha256('context'),
    templateDigest: sha256('template'),
    policyDigest: sha256('policy'),
    baseSigner: sha256('key'),
    git: {
      commit: '0123456789abcdef0123456789abcdef01234567',
      ref: 'refs/heads/main',
      remote: 'https://git.example.com/team/job.git',
    },
    versions: { sjs: '0.1.0', engine: '28.0.0', cosign: '3.1.0' },
    ...overrides,
  };
}

const makeFile = (path: string): ContentFile => ({ path, digest: sha256(path), sha1: '0'.repeat(40) });
const integrity = (word: string): string =>
  `sha512-${Buffer.from(word.repeat(64).slice(0, 64)).toString('base64')}`;

/** What a sealed image is made of: a Debian base with Node, two packages from npm, and one that came in the tarball of the second. */
export function makeContents(overrides: Partial<ImageContents> = {}): ImageContents {
  const image = makeImage({ name: 'job' });
  const debian = (name: string, version: string, licence: string | null = null) =>
    ({ manager: 'deb', name, version, architecture: 'amd64', licence }) as const;
  return {
    entry: makeEntry('job', { seal: computeSeal(image), build: makeBuildFacts() }),
    image,
    labels: decodeLabels(image.config.Labels ?? {}),
    sourceLayer: sha256('source layer'),
    system: {
      distribution: { id: 'debian', version: '13' },
      packages: [debian('libc6', '2.41-12'), debian('libstdc++6', '14.2.0-19+b1')],
      nodes: [{ version: '24.21.0', path: '/usr/local/bin/node', digest: sha256('node') }],
    },
    packages: [
      {
        location: 'node_modules/@scope/one',
        name: '@scope/one',
        version: '1.0.0',
        integrity: integrity('a'),
        licence: 'MIT',
        bundled: null,
      },
      {
        location: 'node_modules/two',
        name: 'two',
        version: '2.0.0-rc.1',
        integrity: integrity('b'),
        licence: '(MIT OR Apache-2.0)',
        bundled: null,
      },
      {
        location: 'node_modules/two/node_modules/three',
        name: 'three',
        version: '3.0.0',
        integrity: null,
        licence: 'SEE LICENSE IN LICENSE',
        bundled: { in: 'node_modules/two', isLocked: true },
      },
    ],
    files: ['/app/index.js', '/app/lib/a b.js', '/in/data.csv'].map(makeFile),
    writtenAt: null,
    sjsVersion: '0.1.0',
    ...overrides,
  };
}
