import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolder } from './world.js';

const execute = promisify(execFile);

const packageFiles = (name: string, code: string, dependencies: object = {}): Record<string, string> => ({
  [`node_modules/${name}/package.json`]: JSON.stringify({ name, version: '1.0.0', dependencies }),
  [`node_modules/${name}/index.js`]: code,
});

/** A listed package with one that it needs, and one that nobody lists. */
export const PACKAGES = {
  ...packageFiles('listed', `module.exports = 'listed+' + require('dep')`, { dep: '1' }),
  ...packageFiles('dep', `module.exports = 'dep'`),
  ...packageFiles('unlisted', `module.exports = 'unlisted'`),
};

const FILES = {
  ...PACKAGES,
  'package.json': JSON.stringify({
    name: 'itself',
    version: '1.0.0',
    imports: { '#fs': 'fs', '#unlisted': 'unlisted' },
    exports: { './through': './alias/index.js' },
  }),
  'static.mjs': `import fs from 'fs'; export default fs`,
  'static-package.mjs': `import found from 'unlisted'; export default found`,
  'reexport.mjs': `export { default } from 'node:fs'`,
  'fine.mjs': `import listed from 'listed'; import { URL } from 'node:url'; export default [listed, URL]`,
  'empty.js': '',
  'preload.cjs': `require('node:fs')`,
  'lib/a.js': 'module.exports = 1',
  'worker.js': `require('worker_threads').parentPort.postMessage('GOT')`,
  'data/outside.js': 'module.exports = 1',
  'data/outside.json': '{}',
  'data/outside-worker.js': `require('worker_threads').parentPort.postMessage('GOT')`,
};

const section = (id: number, bytes: readonly number[]): number[] => [id, bytes.length, ...bytes];
const words = (text: string): number[] => [text.length, ...Buffer.from(text)];
/** A WebAssembly module that imports a function of node:fs. */
const WASM = Buffer.from([
  ...[0, 97, 115, 109, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 0, 0]),
  ...section(2, [1, ...words('node:fs'), ...words('readFileSync'), 0, 0]),
]);
const ADDON = 'void *napi_register_module_v1(void *env, void *exports) { return exports; }\n';

/** The folder of test/fixtures/modules/index.js with all that it reaches for. */
export async function makeModuleProgram(sandbox: string): Promise<string> {
  const folder = await makeFolder({ ...FILES, 'sandbox.yaml': sandbox });
  await cp(join(import.meta.dirname, '../fixtures/modules'), folder, { recursive: true });
  await mkdir(join(folder, 'lib/node_modules'));
  await symlink('node_modules/unlisted', join(folder, 'alias'));
  await symlink('../../node_modules/unlisted', join(folder, 'lib/node_modules/listed'));
  await symlink('node_modules/unlisted/index.js', join(folder, 'alias.js'));
  await writeFile(join(folder, 'fs.wasm'), WASM);
  const place = await makeFolder({ 'addon.c': ADDON });
  const addon = join(folder, 'addon.node');
  await execute('gcc', ['-shared', '-fPIC', '-nostdlib', '-o', addon, join(place, 'addon.c')]);
  await copyFile(addon, join(folder, 'node_modules/unlisted/addon.node'));
  return folder;
}
