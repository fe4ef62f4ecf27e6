import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import { describeCosigns } from '../support/cosign-generations.js';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { startRegistry } from '../support/registry-process.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { describeSignatureVerifier } from './signature-verifier.contract.js';

describeCosigns('with a real registry', (generation) => {
  describeSignatureVerifier(generation.name, async () => {
    const [registry, made] = await Promise.all([startRegistry(), makeCosignKeys(2, generation)]);
    return {
      verifier: createCosignVerifier({ env: { PATH: generation.path }, home: made.folder }),
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
});
