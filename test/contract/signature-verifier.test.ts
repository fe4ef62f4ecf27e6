import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { startRegistry } from '../support/registry-process.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { describeSignatureVerifier } from './signature-verifier.contract.js';

describeSignatureVerifier('cosign, with a real registry,', async () => {
  const [registry, made] = await Promise.all([startRegistry(), makeCosignKeys(2)]);
  return {
    verifier: createCosignVerifier({ env: { PATH: process.env['PATH'] }, home: made.folder }),
    keys: made.keys,
    push: async (path, content) => ({
      registry: registry.host,
      path,
      digest: await pushTinyImage(registry.host, path, '1.0.0', { files: { content } }),
    }),
    async stop() {
      await Promise.all([registry.stop(), made.remove()]);
    },
  };
});
