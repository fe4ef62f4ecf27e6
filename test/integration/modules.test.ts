import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import type { SealedImage } from '../../src/model/sealed-image.js';
import { removeImages } from '../support/docker.js';
import { PACKAGES } from '../support/module-program.js';
import { makePackage, startRegistry, writeLock } from '../support/package-registry.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const images = removeImages();
let home: string;
beforeAll(async () => {
  home = await makeFolder();
});

async function sjs(args: readonly string[], env: Record<string, string> = {}, place = home): Promise<string> {
  const { code, stdout, stderr } = await runSjs(place, args, { env });
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}
interface Built {
  readonly tag: string;
  readonly seal: string;
}
async function build(folder: string, env: Record<string, string> = {}, place = home): Promise<Built> {
  const built = JSON.parse(await sjs(['build', folder, '--json'], env, place)) as Built;
  images.add(built.tag);
  return built;
}
const LISTS = '  modules: { builtins: [util, url], packages: [listed] }\n';
const seal = async (name: string, files: Record<string, string>, spec = LISTS): Promise<Built> =>
  build(await makeFolder({ 'sandbox.yaml': sandboxYaml(name, spec), ...PACKAGES, ...files }));

const CJS = `const { inspect } = require('util');
const tell = (name) => { try { require(name); return name } catch (error) { return error.code + ' ' + error.message } };
console.log(inspect(require('listed')));
for (const name of ['fs', 'unlisted', 'nowhere']) console.log(tell(name).split('\\n')[0]);
`;
const ADVICE = 'add it there and build again';
const SAID = [
  `'listed+dep'`,
  `ERR_SJS_MODULE module 'fs' is not in spec.modules.builtins of this sandbox; listed: url, util; ${ADVICE}`,
  `ERR_SJS_MODULE module 'unlisted' is not in spec.modules.packages of this sandbox; listed: listed; ${ADVICE}`,
  `MODULE_NOT_FOUND Cannot find module 'nowhere'`,
  '',
].join('\n');

test('a CommonJS program has what is listed; what is refused says where to list it', async () => {
  const { tag } = await seal('modules-cjs', { 'index.js': CJS });
  expect(await runSjs(home, ['run', '-q', tag])).toEqual({ code: 0, stdout: SAID, stderr: '' });
});

test('worker_threads may be listed where no worker may be started', async () => {
  const { tag } = await seal(
    'modules-threads',
    { 'index.js': `console.log(require('worker_threads').isMainThread)` },
    '  modules: { builtins: [worker_threads] }\n',
  );
  expect(await runSjs(home, ['run', '-q', tag])).toEqual({ code: 0, stdout: 'true\n', stderr: '' });
});

test('an ES module does, and one that imports more does not start', async () => {
  const main = (more: string) => `import { inspect } from 'node:util';\nimport listed from 'listed';\n${more}
console.log(inspect(listed), await import('fs').catch(({ code }) => code), import.meta.filename);\n`;
  const type = { 'package.json': '{ "type": "module" }' };
  const { tag } = await seal('modules-esm', { ...type, 'index.js': main('') });
  const result = await runSjs(home, ['run', '-q', tag]);
  expect(result).toEqual({ code: 0, stdout: `'listed+dep' ERR_SJS_MODULE /app/index.js\n`, stderr: '' });
  const other = await seal('modules-esm', { ...type, 'index.js': main(`import 'node:os';`) });
  const refused = await runSjs(home, ['run', '-q', other.tag]);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain(`module 'os' is not in spec.modules.builtins`);
});

test('TypeScript and packages of a lockfile: the same list', async () => {
  const registry = await startRegistry();
  const env = { NPM_CONFIG_REGISTRY: `${registry.url}/` };
  try {
    const entry = async (name: string, code: string, dependencies: object = {}) => {
      const manifest = JSON.stringify({ name, version: '1.0.0', dependencies });
      const tarball = await makePackage(name, '1.0.0', { 'index.js': code, 'package.json': manifest });
      return registry.add(name, '1.0.0', tarball);
    };
    const lock = writeLock(
      { listed: '1.0.0', unlisted: '1.0.0' },
      {
        'node_modules/listed': {
          ...(await entry('listed', `module.exports = require('dep') + 1`, { dep: '1.0.0' })),
          dependencies: { dep: '1.0.0' },
        },
        'node_modules/dep': await entry('dep', 'module.exports = 1'),
        'node_modules/unlisted': await entry('unlisted', ''),
      },
    );
    const yaml = sandboxYaml('modules-typed', `  dependencies: {}\n${LISTS}`);
    const folder = await makeFolder({
      'sandbox.yaml': yaml.replace('index.js', 'main.ts'),
      'main.ts': `import { give } from './lib/give.ts';
const codeOf = async (name: string): Promise<string> => import(name).then(() => 'loaded', ({ code }) => code);
(async () => console.log(give(), await codeOf('unlisted'), await codeOf('node:fs')))();\n`,
      'lib/give.ts': `import listed from 'listed';\nexport const give = (): number => listed;\n`,
      ...lock,
    });
    const { tag } = await build(folder, env);
    const result = await runSjs(home, ['run', '-q', tag], { env });
    expect(result).toEqual({
      code: 0,
      stdout: '2 ERR_SJS_MODULE ERR_SJS_MODULE\n',
      stderr: expect.any(String),
    });
  } finally {
    await registry.close();
  }
});

test('secrets and a frozen clock come with it; a fork has the same list', async () => {
  const spec = `  secrets: [TOKEN]
  determinism: { clock: 2024-01-01T00:00:00Z }
  permissions: { childProcess: true }
  modules: { builtins: [child_process] }\n`;
  const code = `const tell = () => { try { return typeof require('fs') } catch ({ code }) { return code } };
if (process.argv[2] === 'forked') console.log(tell());
else {
  console.log(process.env.TOKEN, new Date().getFullYear(), tell());
  require('child_process').fork(__filename, ['forked']);
}\n`;
  const { tag } = await seal('modules-beside', { 'index.js': code }, spec);
  const { stdout } = await runSjs(home, ['run', '-q', '--secret', 'TOKEN', tag], { env: { TOKEN: 'hush' } });
  expect(stdout).toMatch(/^\S+ 2024 ERR_SJS_MODULE\nERR_SJS_MODULE\n$/);
});

/** As a program of sjs's own is, which hands over to the author's. */
const RUNNER = `const { readFileSync } = require('node:fs');
const { createHash } = require('node:crypto');
import('/app/guest.mjs').then(({ default: say }) => say(typeof readFileSync, typeof createHash));\n`;
const GUEST = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const tell = (act) => { try { return typeof act() } catch ({ code }) { return code } };
export default (...had) => {
  const own = process.mainModule;
  const lies = createRequire('/.sjs/other.cjs');
  console.log([...had, tell(() => require('fs')), tell(() => own.require('fs')), tell(() => lies('fs')),
    tell(() => own.constructor._load('fs', own)), tell(() => own.require('/.sjs/determinism.cjs'))].join(' '));
};\n`;

test('a program of sjs’s own loads what it needs, until it loads the first file of anybody else', async () => {
  const spec = '  determinism: { seed: 1 }\n  modules: { builtins: [module] }\n';
  const { tag } = await seal('modules-own', { 'index.js': '', 'guest.mjs': GUEST }, spec);
  const folder = await makeFolder({
    'call.cjs': RUNNER,
    Dockerfile: `FROM ${tag}\nCOPY call.cjs /.sjs/call.cjs\n`,
  });
  const { stdout: built } = await execute('docker', ['build', '-q', '--network', 'none', folder], {
    env: { ...process.env, DOCKER_BUILDKIT: '1' },
  });
  const id = built.trim();
  try {
    const words = [
      '--entrypoint',
      'node',
      id,
      '--require=/.sjs/determinism.cjs',
      '--require=/.sjs/modules.cjs',
    ];
    const { stdout } = await execute('docker', [
      'run',
      '--rm',
      '--network',
      'none',
      ...words,
      '/.sjs/call.cjs',
    ]);
    expect(stdout.trim().split(' ')).toEqual([
      'function',
      'function',
      ...Array<string>(5).fill('ERR_SJS_MODULE'),
    ]);
  } finally {
    await execute('docker', ['image', 'rm', '-f', id]);
  }
});

test('a clone gives the same seal, a replay the same run', async () => {
  const original = await seal('modules-chain', { 'index.js': CJS });
  const copy = join(await makeFolder(), 'copy');
  await sjs(['clone', original.tag, copy]);
  expect(await readFile(join(copy, 'sandbox.yaml'), 'utf8')).toContain(
    '  modules:\n    builtins:\n      - url\n',
  );
  expect(await build(copy, {}, await makeFolder())).toMatchObject({ seal: original.seal });

  const { id } = JSON.parse(await sjs(['run', '--json', original.tag])) as RunRecord;
  expect(JSON.parse(await sjs(['replay', id, '--json']))).toMatchObject({ reproduced: true });

  const inspected = JSON.parse(await sjs(['inspect', original.tag])) as SealedImage;
  expect(inspected.labels.plan.modules).toEqual({ builtins: ['url', 'util'], packages: ['listed'] });
});

test('what another list gives more is said to be wider, none at all most', async () => {
  const files = { 'index.js': 'console.log(1)\n' };
  const yaml = (lists: string) => ({ 'sandbox.yaml': sandboxYaml('modules-diff', lists), ...files });
  await build(await makeFolder(yaml('  modules: { builtins: [url] }\n')));
  const wider = await makeFolder(yaml('  modules: { builtins: [url, fs], packages: [lodash] }\n'));
  const planned = await sjs(['plan', wider]);
  expect(planned).toContain('of Node: fs, url');
  expect(planned).toMatch(/WIDENED\s+may load of Node fs/);
  expect(planned).toMatch(/WIDENED\s+may load of npm lodash/);
  expect(await sjs(['plan', await makeFolder(yaml(''))])).toMatch(/WIDENED\s+may load anything of Node/);
  const narrower = await sjs(['plan', await makeFolder(yaml('  modules: {}\n'))]);
  expect(narrower).toMatch(/tightened\s+may no longer load of Node url/);
  expect(narrower).not.toContain('WIDENED');
});
