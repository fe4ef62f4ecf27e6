import { beforeAll, expect } from '@jest/globals';
import { attack } from '../support/attack.js';
import { removeImages } from '../support/docker.js';
import { makeModuleProgram } from '../support/module-program.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const images = removeImages();
let home: string;
let env: Record<string, string>;
beforeAll(async () => {
  home = await makeFolder();
  // Under which addons may be declared.
  env = { SJS_POLICY: await networkedPolicy('{}') };
});

/** What the program of test/fixtures/modules says of each way. */
interface Tried {
  readonly ways: Readonly<Record<string, string>>;
  readonly allowed: Readonly<Record<string, string>>;
}

async function build(folder: string): Promise<string> {
  const { code, stdout, stderr } = await runSjs(home, ['build', folder], { env });
  expect({ code, error: code === 0 ? '' : stderr }).toEqual({ code: 0, error: '' });
  images.add(stdout.trim());
  return stdout.trim();
}

// With a preload besides: its module is there to be taken hold of.
const SPEC = `  permissions: { worker: true, addons: true }
  determinism: { seed: 1 }
  inputs: [data/outside.js, data/outside.json, data/outside-worker.js]
  resources: { memory: 512Mi, timeout: 60s }
`;
const LISTS = `  modules: { builtins: [module, url, util, vm, 'node:worker_threads'], packages: [listed] }\n`;
async function tryAll(name: string, spec: string): Promise<Tried> {
  const tag = await build(await makeModuleProgram(sandboxYaml(name, spec)));
  const { code, stdout, stderr } = await runSjs(home, ['run', tag], { env });
  if (code !== 0) throw new Error(`exit ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Tried;
}
const withResult = (all: Tried['ways'], isWanted: (result: string) => boolean): string[] =>
  Object.entries(all).flatMap(([name, result]) => (isWanted(result) ? [`${name}: ${result}`] : []));

/** What Node itself refuses a program under its permission model, or does not have: no module comes of it either way. */
const CLOSED_BY_NODE = ['process.binding: ERR_ACCESS_DENIED', 'process._linkedBinding: ERR_INVALID_MODULE'];

attack(
  'M01',
  async () => {
    const { ways, allowed } = await tryAll('modules-closed', `${SPEC}${LISTS}`);
    expect(withResult(ways, (result) => result !== 'ERR_SJS_MODULE')).toEqual([]);
    expect(withResult(allowed, (result) => result !== 'GOT')).toEqual([]);
    const count = Object.keys(ways).length;
    expect(count).toBeGreaterThan(90);
    return `ERR_SJS_MODULE, ${count} of ${count}; what is listed was loaded`;
  },
  async () => {
    const { ways, allowed } = await tryAll('modules-open', SPEC);
    expect(withResult(ways, (result) => result !== 'GOT')).toEqual(CLOSED_BY_NODE);
    expect(withResult(allowed, (result) => result !== 'GOT')).toEqual([]);
    return `loaded, ${Object.keys(ways).length - CLOSED_BY_NODE.length} of them; Node itself closes the others`;
  },
);

const BECOME = `process.removeAllListeners('warning');
process.execve(process.execPath, ['node', '-e', 'console.log(typeof require("fs").readFileSync)'], {});\n`;
async function become(name: string, spec: string) {
  const yaml = sandboxYaml(name, `  permissions: { childProcess: true }\n${spec}`);
  return runSjs(home, ['run', await build(await makeFolder({ 'sandbox.yaml': yaml, 'index.js': BECOME }))], {
    env,
  });
}
attack(
  'M02',
  async () => {
    const { code, stderr } = await become('modules-execve', '  modules: {}\n');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('ERR_SJS_MODULE') });
    return 'ERR_SJS_MODULE';
  },
  async () => {
    expect(await become('modules-no-execve', '')).toMatchObject({ code: 0, stdout: 'function\n' });
    return 'became a Node that loads everything';
  },
);
