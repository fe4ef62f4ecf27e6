import { beforeEach, describe, expect, test } from '@jest/globals';
import { importBase } from '../../../src/flows/import-base.js';
import { parseSigningKey } from '../../../src/model/signing-key.js';
import { sha256 } from '../../../src/model/digest.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { createFakeRegistry, type FakeRegistry } from '../../support/fake-registry.js';
import {
  createFakeSignatureVerifier,
  type FakeSignatureVerifier,
} from '../../support/fake-signature-verifier.js';
import { makeTinyImage, type TinyImage } from '../../support/tiny-image.js';

const SOURCE = 'registry.example.com/library/node';
const TARGET = 'mirror.example.com/base/node';

let registry: FakeRegistry;
let verifier: FakeSignatureVerifier;
let image: TinyImage;
let publicKey: string;
beforeEach(async () => {
  registry = createFakeRegistry();
  verifier = createFakeSignatureVerifier();
  image = await makeTinyImage();
  publicKey = verifier.addKey('a.key');
  registry.put(SOURCE, '24.2.0', image);
});

const run = (source: string, target: string, keyFile: string | null = 'a.key') =>
  importBase(
    { source, target, key: keyFile === null ? null : parseSigningKey(keyFile) },
    { registry, verifier, reporter: silentReporter },
  );

describe('importBase', () => {
  test('copies by digest and signs version and repository', async () => {
    await expect(run(`${SOURCE}:24.2.0`, TARGET)).resolves.toEqual({
      reference: `${TARGET}@${image.digest}`,
      repository: TARGET,
      digest: image.digest,
      version: '24.2.0',
      publicKey,
    });
    const reference = { registry: 'mirror.example.com', path: 'base/node', digest: image.digest };
    await expect(
      verifier.verify({ reference, signer: { publicKey }, trustedRoot: null, transparencyLog: 'none' }),
    ).resolves.toMatchObject([{ annotations: { version: '24.2.0', repository: TARGET } }]);
    expect(registry.calls[1]).toBe(`copy ${SOURCE} ${image.digest}`);
  });

  test('takes the version from the target where it states one, and a digest as the source', async () => {
    await expect(run(`${SOURCE}@${image.digest}`, `${TARGET}:1.0.0`)).resolves.toMatchObject({
      version: '1.0.0',
    });
    await expect(run(`${SOURCE}:24.2.0`, `${TARGET}:1.0.1`)).resolves.toMatchObject({ version: '1.0.1' });
  });

  test('without a key nothing is signed', async () => {
    await expect(run(`${SOURCE}:24.2.0`, TARGET, null)).resolves.toMatchObject({ publicKey: null });
  });

  test.each([
    ['a source without tag', SOURCE, `${TARGET}:1.0.0`],
    ['no version', `${SOURCE}:latest`, TARGET],
    ['no version for a digest', `${SOURCE}@${sha256('x')}`, TARGET],
    ['a tag that is nearly a version', `${SOURCE}:24.2.0`, `${TARGET}:v1.0.0`],
    ['a target by digest', `${SOURCE}:24.2.0`, `${TARGET}@${sha256('x')}`],
  ])('refuses %s', async (_what, source, target) => {
    await expect(run(source, target)).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
    expect(registry.calls).toEqual([]);
  });

  test('a key that is none is found before anything is copied', async () => {
    await expect(run(`${SOURCE}:24.2.0`, TARGET, 'absent.key')).rejects.toMatchObject({
      code: 'COSIGN_FAILED',
    });
    expect(registry.calls).toEqual([]);
  });

  test('a tag that somebody else moves meanwhile is not signed', async () => {
    const other = await makeTinyImage({ files: { other: '' } });
    const copy = registry.copy.bind(registry);
    registry.copy = async (...parameters) => {
      await copy(...parameters);
      registry.put(TARGET, '24.2.0', other);
    };
    await expect(run(`${SOURCE}:24.2.0`, TARGET)).rejects.toMatchObject({ code: 'REGISTRY_DIGEST_MISMATCH' });
  });
});
