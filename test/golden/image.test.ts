import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from '@jest/globals';
import { sha256 } from '../../src/model/digest.js';
import { DEFAULT_RESOURCES } from '../../src/model/sandbox.js';
import { computeSeal } from '../../src/model/sealed-image.js';
import { collectSource } from '../../src/stages/collect/collect-source.js';
import { packContext } from '../../src/stages/pack/pack-context.js';
import { renderDockerfile } from '../../src/stages/render/render-dockerfile.js';
import { expectGolden } from '../support/golden.js';
import { makeBase, makeLoaded, makeSandbox } from '../support/sandbox.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();

/** Declares everything that can be declared. */
const sandbox = makeSandbox({
  name: 'golden',
  version: '1.2.3',
  args: ['--greet', 'it\'s "$HOME"'],
  env: { TZ: 'UTC', QUOTES: '"a" \\b\\ $c' },
  secrets: ['API_TOKEN'],
  permissions: { childProcess: true, worker: true, addons: false, wasi: false },
  filesystem: { tmpBytes: 1024 ** 2, outBytes: 2 * 1024 ** 2 },
});

test('the Dockerfile, the build context and the seal of a sandbox that declares everything', async () => {
  const base = makeBase();
  const profile = await readFile('policies/seccomp.json', 'utf8');
  const rendered = renderDockerfile(
    await readFile('templates/node.Dockerfile', 'utf8'),
    sandbox,
    base,
    DEFAULT_RESOURCES,
    sha256(profile),
  );
  expectGolden('Dockerfile', rendered.dockerfile);

  const folder = await makeFolder({ 'index.js': 'console.log(1)\n', 'lib/ü.js': '' });
  const tree = await collectSource(makeLoaded(join(folder, 'sandbox.yaml')), {
    maxBytes: 1024 ** 2,
    forbidden: { containing: [], being: [] },
  });
  const preload = await readFile('dist/guest/secrets-preload.cjs');
  const context = await packContext({
    dockerfile: rendered.dockerfile,
    tree,
    files: { '/.sjs/secrets-preload.cjs': preload },
    folders: ['/out'],
  });
  const image = {
    platform: base.platform,
    diffIds: [...base.diffIds, sha256('layer')],
    config: rendered.expectedConfig,
  };
  expectGolden(
    'image.json',
    `${JSON.stringify({ context: context.digest, seal: computeSeal(image), config: rendered.expectedConfig }, null, 2)}\n`,
  );
});
