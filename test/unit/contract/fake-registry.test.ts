import { describeRegistry } from '../../contract/registry.contract.js';
import { createFakeRegistry } from '../../support/fake-registry.js';

const host = '127.0.0.1:1';

describeRegistry('the fake', () => {
  const registry = createFakeRegistry();
  return Promise.resolve({
    registry,
    host,
    push: (path, tag, image) => Promise.resolve(registry.put(`${host}/${path}`, tag, image)),
    stop: () => Promise.resolve(),
  });
});
