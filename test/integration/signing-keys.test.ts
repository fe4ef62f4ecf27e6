import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import { parseSigningKey } from '../../src/model/signing-key.js';
import { describeCosigns } from '../support/cosign-generations.js';
import { startKeyService, type KeyService } from '../support/key-service.js';
import { pushTinyImage } from '../support/tiny-image.js';

import { cleanFolders, makeFolder, world } from '../support/world.js';

cleanFolders();

let service: KeyService;
beforeAll(async () => {
  service = await startKeyService('seals');
});
afterAll(() => service.stop());

describeCosigns('a key that stays in its service', ({ name, path }) => {
  test('signs and attests, and what it signed verifies by its public half', async () => {
    const key = parseSigningKey('awskms:///alias/seals');
    const home = await makeFolder();
    const cosign = createCosignVerifier({ env: { PATH: path, ...service.env }, home });
    const repository = `kms/${name.at(-1)}`;
    const digest = await pushTinyImage(world.registry, repository, '1.0.0', { files: { name } });
    const reference = { registry: world.registry, path: repository, digest };
    const publicKey = await cosign.publicKey(key);
    expect(publicKey?.trim()).toBe(service.publicKey.trim());
    await cosign.sign(reference, key, { seal: digest });
    await cosign.attest(reference, key, 'cyclonedx', { a: 1 });
    // Who verifies needs neither the service nor its token.
    const verifier = createCosignVerifier({ env: { PATH: path }, home });
    const before = service.requests.length;
    const signer = { publicKey: service.publicKey };
    const request = { reference, signer, trustedRoot: null, transparencyLog: 'none' } as const;
    expect(await verifier.verify(request)).toMatchObject([{ digest, annotations: { seal: digest } }]);
    expect(await verifier.verifyAttestation(request, 'cyclonedx')).toMatchObject([{ predicate: { a: 1 } }]);
    expect(service.requests.length).toBe(before);
    expect(service.requests).toContain('Sign');
    const stranger = createCosignVerifier({
      env: { PATH: path, ...service.env, AWS_ACCESS_KEY_ID: 'AKIASTRANGER' },
      home,
    });
    await expect(stranger.publicKey(parseSigningKey('hashivault://seals'))).rejects.toMatchObject({
      code: 'COSIGN_FAILED',
      next: expect.stringContaining('sigstore-kms-hashivault'),
    });
    await expect(stranger.sign(reference, key, {})).rejects.toMatchObject({ code: 'COSIGN_FAILED' });
  });
});
