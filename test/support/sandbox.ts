import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { VerifiedBase } from '../../src/model/base.js';
import { sha256 } from '../../src/model/digest.js';
import {
  DEFAULT_PERMISSIONS,
  DEFAULT_RESOURCES,
  DEFAULT_TMP_BYTES,
  DEFAULT_USER,
  type LoadedSandbox,
  type Sandbox,
} from '../../src/model/sandbox.js';
import type { ImageFacts } from '../../src/model/sealed-image.js';
import { renderDockerfile } from '../../src/stages/render/render-dockerfile.js';

/** A sandbox with every default, as the load stage would make it. */
export function makeSandbox(overrides: Partial<Sandbox> = {}): Sandbox {
  return {
    name: 'job',
    version: '1.0.0',
    language: 'node',
    base: null,
    source: '.',
    exclude: [],
    inputs: [],
    command: ['node', '/app/index.js'],
    args: [],
    env: {},
    secrets: [],
    permissions: DEFAULT_PERMISSIONS,
    user: DEFAULT_USER,
    filesystem: { tmpBytes: DEFAULT_TMP_BYTES, outBytes: null },
    network: { mode: 'none' },
    resources: {},
    runtime: 'runc',
    dependencies: null,
    ...overrides,
  };
}

/** The same as if it had been read from a file. */
export function makeLoaded(file: string, overrides: Partial<Sandbox> = {}): LoadedSandbox {
  return {
    file,
    directory: dirname(file),
    folder: dirname(file),
    digest: sha256(''),
    sandbox: makeSandbox(overrides),
    locate: () => ({ line: 1, column: 1 }),
    excerpt: () => '',
  };
}

/** A base as if cosign had verified it: for the stages behind verify, which have no other way to get one. */
export function makeBase(overrides: Partial<VerifiedBase> = {}): VerifiedBase {
  const fields = {
    repository: { registry: 'registry.example.com', path: 'base/node' },
    version: '24.1.0',
    digest: sha256('index'),
    indexDigest: sha256('index'),
    manifestDigest: sha256('manifest'),
    platform: { os: 'linux', architecture: 'amd64' },
    config: { Env: ['PATH=/usr/bin:/bin'] },
    diffIds: [sha256('layer')],
    compressedBytes: 1,
    signature: {
      signer: sha256('key'),
      keyFingerprint: sha256('key'),
      publicKey: 'PEM',
      keyless: null,
      trustedRoot: null,
      transparencyLog: 'none',
      annotations: {},
      rule: 'policy.yaml:3',
    },
    signedVersion: '24.1.0',
    allowSetuidFiles: false,
    ...overrides,
  };
  return fields as unknown as VerifiedBase;
}

/** What an engine says of the image that building this sandbox gives. */
export function makeImage(overrides: Partial<Sandbox> = {}, base = makeBase()): ImageFacts {
  const template = readFileSync('templates/node.Dockerfile', 'utf8');
  const sandbox = makeSandbox(overrides);
  const { expectedConfig } = renderDockerfile(template, sandbox, base, DEFAULT_RESOURCES, sha256('profile'));
  return {
    imageId: sha256('image'),
    platform: base.platform,
    diffIds: [...base.diffIds, sha256('app')],
    config: expectedConfig,
    unknownConfigFields: [],
    tags: [],
    sizeBytes: 1,
  };
}
