import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry } from '../../src/adapters/registry/registry-client.js';
import { startRegistry } from '../support/registry-process.js';
import { pushImage } from '../support/tiny-image.js';
import { describeRegistry } from './registry.contract.js';

describeRegistry('the client, with a real registry,', async () => {
  const [running, home] = await Promise.all([startRegistry(), mkdtemp(join(tmpdir(), 'sjs-home-'))]);
  return {
    registry: createRegistry({ env: {}, home }),
    host: running.host,
    async push(path, tag, image) {
      await pushImage(running.host, path, tag, image);
    },
    async stop() {
      await running.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
});
