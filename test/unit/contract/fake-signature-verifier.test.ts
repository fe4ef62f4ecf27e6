import { sha256 } from '../../../src/model/digest.js';
import { describeSignatureVerifier } from '../../contract/signature-verifier.contract.js';
import { createFakeSignatureVerifier } from '../../support/fake-signature-verifier.js';

describeSignatureVerifier('the fake', () => {
  const verifier = createFakeSignatureVerifier();
  return Promise.resolve({
    verifier,
    keys: ['a.key', 'b.key'].map((keyFile) => ({ keyFile, publicKey: verifier.addKey(keyFile) })),
    push: (path, content) =>
      Promise.resolve({ registry: 'registry.example.com', path, digest: sha256(content) }),
    stop: () => Promise.resolve(),
  });
});
