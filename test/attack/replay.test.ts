import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect } from '@jest/globals';
import { hexOf, type Digest } from '../../src/model/digest.js';
import type { ReplayVerdict, RunRecord } from '../../src/model/record.js';
import { computeSeal, formatTag, type SealedImage } from '../../src/model/sealed-image.js';
import { attack } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { cleanPrograms, makePrograms } from '../support/programs.js';
import { makePackage, startRegistry as startPackages, writeLock } from '../support/package-registry.js';
import { startRegistry } from '../support/registry-process.js';
import { until } from '../support/until.js';
import {
  cleanFolders,
  installSjs,
  makeFolder,
  runSjs,
  sandboxYaml,
  world,
  type ProcessResult,
} from '../support/world.js';

cleanFolders();
cleanPrograms();
const execute = promisify(execFile);

const images = removeImages();

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});

const codeOf = ({ stdout }: ProcessResult): string =>
  (JSON.parse(stdout) as { error: { code: string } }).error.code;
const imageOf = (tag: string): string => docker(['image', 'inspect', '--format', '{{.Id}}', tag]);
const recordFile = (id: string): string => join(home, 'sjs/runs', `${id}.json`);
const readRecord = async (id: string): Promise<RunRecord> =>
  JSON.parse(await readFile(recordFile(id), 'utf8')) as RunRecord;

/** Builds a sandbox; its tag. */
async function build(folder: string, env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await runSjs(home, ['build', folder], { env });
  expect({ code, error: code === 0 ? '' : stderr }).toEqual({ code: 0, error: '' });
  images.add(stdout.trim());
  return stdout.trim();
}
const seal = async (name: string, code: string): Promise<string> =>
  build(await makeFolder({ 'sandbox.yaml': sandboxYaml(name), 'index.js': code }));
/** Runs it; the run's id. */
async function run(tag: string, input = '', args: readonly string[] = []): Promise<string> {
  const { stdout } = await runSjs(home, ['run', '-i', '--json', tag, '--', ...args], { input });
  return (JSON.parse(stdout) as RunRecord).id;
}
type Replayed = ReplayVerdict & { readonly replay: string };
async function replay(id: string, env: Record<string, string> = {}): Promise<Replayed> {
  return JSON.parse((await runSjs(home, ['replay', id, '--json'], { env })).stdout) as Replayed;
}

/**
 * A run whose base came from a registry that is gone, and its package from one that now has another: at the place of the
 * first somebody listens, and cosign only tells.
 */
async function loseSources() {
  const registry = await startRegistry();
  const target = `${registry.host}/base/node`;
  const own = { SJS_POLICY: join(await makeFolder(), 'policy.yaml') };
  const words = ['base', 'import', world.reference, `${target}:${world.version}`, '--trust'];
  const imported = await runSjs(home, [...words, '--sign-key', world.keyFile], { env: own });
  expect(imported).toMatchObject({ code: 0 });
  const base = `  base: { image: "${target}", version: "${world.version}" }\n  dependencies: {}\n`;
  const yaml = sandboxYaml('orphan', base);
  const packages = await startPackages();
  const npm = { NPM_CONFIG_REGISTRY: `${packages.url}/`, NPM_CONFIG_FETCH_RETRIES: '0' };
  const content = { 'index.js': `module.exports = 'as ever'` };
  const entry = packages.add('a', '1.0.0', await makePackage('a', '1.0.0', content));
  const folder = await makeFolder({
    'sandbox.yaml': yaml,
    'index.js': `console.log(require('a'))`,
    ...writeLock({ a: '1.0.0' }, { 'node_modules/a': entry }),
  });
  const tag = await build(folder, { ...own, ...npm });
  const id = await run(tag);
  await registry.stop();
  await rm(join(home, 'sjs/packages'), { recursive: true, force: true });
  packages.seen.length = 0;
  packages.add('a', '1.0.0', await makePackage('a', '1.0.0', { 'index.js': `module.exports = 'evil'` }));
  const asked = join(await makeFolder(), 'asked');
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    // Both are asked at once: whoever is refused by one does not wait for the other.
    const waiting = setInterval(() => void (existsSync(asked) && socket.destroy()), 50);
    socket.on('error', () => {}).on('close', () => clearInterval(waiting));
  }).listen(Number(registry.host.split(':')[1]), '127.0.0.1');
  await once(server, 'listening');
  const PATH = await makePrograms({ cosign: `echo "$@" >> ${asked}; exit 1` });
  return {
    folder,
    tag,
    id,
    env: { ...own, ...npm, PATH },
    seen: () => ({ registry: connections > 0, cosign: existsSync(asked) }),
    packages: packages.seen,
    close: async () => {
      server.close();
      await packages.close();
    },
  };
}
attack(
  'Y01',
  async () => {
    const { tag, id, env, seen, packages, close } = await loseSources();
    const image = imageOf(tag);
    const { reproduced, replay: again } = await replay(id, env).finally(close);
    expect(reproduced).toBe(true);
    expect((await readRecord(again)).seal).toBe((await readRecord(id)).seal);
    expect(imageOf(tag)).toBe(image);
    expect(seen()).toEqual({ registry: false, cosign: false });
    expect(packages).toEqual([]);
    return 'reproduced, from the same image; none of them was asked';
  },
  async () => {
    const { folder, env, seen, close } = await loseSources();
    const built = await runSjs(home, ['build', folder, '--json'], { env }).finally(close);
    expect(built.code).not.toBe(0);
    expect(seen()).toEqual({ registry: true, cosign: true });
    return `a build asks both, and is refused: ${codeOf(built)}`;
  },
);

const WEAKER = [
  ['--memory', '2Gi'],
  ['-m', '2g'],
  ['--runtime', 'runc'],
  ['--network', 'bridge'],
  ['--seccomp', 'unconfined'],
  ['--security-opt', 'seccomp=unconfined'],
  ['--accept-changes'],
];
/** Says how much it may: memory, seccomp, network. */
const LOOK = `const fs = require('fs');
console.log(JSON.stringify({
  memory: process.constrainedMemory(),
  seccomp: /Seccomp:\\s*(\\d)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1],
  network: Object.keys(require('os').networkInterfaces()).length,
}));`;
/** This sjs as it is installed, with a seccomp profile that allows everything. */
async function installWeakened(): Promise<string> {
  const root = await installSjs();
  await writeFile(join(root, 'policies/seccomp.json'), '{"defaultAction":"SCMP_ACT_ALLOW"}');
  return root;
}
attack(
  'Y02',
  async () => {
    const id = await run(await seal('weaker', LOOK));
    for (const flags of WEAKER) {
      const result = await runSjs(home, ['replay', id, ...flags, '--json']);
      expect({ flags, code: result.code, error: codeOf(result) }).toEqual({
        flags,
        code: 125,
        error: 'USAGE',
      });
    }
    const record = await readRecord(id);
    const said: string[] = [];
    for (const edited of [
      { limits: { ...record.limits, memoryBytes: 2 * 1024 ** 3 } },
      { limits: { ...record.limits, pids: 0 } },
      { env: { NODE_OPTIONS: '--require=/tmp/x' } },
    ]) {
      await writeFile(recordFile(id), JSON.stringify({ ...record, ...edited }));
      const result = await runSjs(home, ['replay', id, '--json']);
      expect(result.code).toBe(126);
      said.push(codeOf(result));
    }
    await writeFile(recordFile(id), JSON.stringify(record));
    expect(said).toEqual(['RIGHTS_WIDENED', 'RIGHTS_WIDENED', 'ENV_REFUSED']);
    const weakened = await runSjs(home, ['replay', id, '--json'], { root: await installWeakened() });
    expect([weakened.code, codeOf(weakened)]).toEqual([126, 'SEAL_PROFILE_MISMATCH']);
    expect((await replay(id)).reproduced).toBe(true);
    return 'USAGE; RIGHTS_WIDENED or ENV_REFUSED for an edited record; SEAL_PROFILE_MISMATCH for another profile';
  },
  async () => {
    const tag = await seal('weaker', LOOK);
    const flags = ['--memory', '2g', '--network', 'bridge', '--security-opt', 'seccomp=unconfined'];
    const { stdout } = await execute('docker', [
      'run',
      '--rm',
      ...flags,
      '--entrypoint',
      'node',
      tag,
      'index.js',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ memory: 2 * 1024 ** 3, seccomp: '0' });
    expect((JSON.parse(stdout) as { network: number }).network).toBeGreaterThan(1);
    return 'docker run gives 2 GiB, a network, and no seccomp';
  },
);

const UNKNOWN = [
  ['sjs/none:1.0.0-000000000000', 127, 'TARGET_NOT_FOUND'],
  ['none:1.0.0', 127, 'TARGET_NOT_FOUND'],
  ['none', 127, 'TARGET_NOT_FOUND'],
  ['0123456789ab', 127, 'TARGET_NOT_FOUND'],
  ['01ARZ3NDEKTSV4RRFFQ69G5FAV', 127, 'RUN_NOT_FOUND'],
  ['sjs/../../outside', 127, 'TARGET_NOT_FOUND'],
  ['sjs/../containers/json?x=', 127, 'TARGET_NOT_FOUND'],
  ['%2e%2e%2foutside', 127, 'TARGET_NOT_FOUND'],
  ['../../outside', 125, 'USAGE'],
  ['/etc/passwd', 125, 'USAGE'],
  ['..', 125, 'USAGE'],
] as const;
/** An engine that has nothing, and keeps what it is asked. */
async function startEmptyEngine() {
  const asked: string[] = [];
  const server = createHttpServer(({ method, url }, response) => {
    asked.push(`${method} ${url}`);
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"No such image"}');
  }).listen(join(await makeFolder(), 'engine.sock'));
  await once(server, 'listening');
  return {
    env: { DOCKER_HOST: `unix://${server.address() as string}` },
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
attack(
  'Y03',
  async () => {
    const engine = await startEmptyEngine();
    for (const [target, ...expected] of UNKNOWN) {
      const result = await runSjs(home, ['replay', target, '--json'], { env: engine.env });
      expect([target, result.code, codeOf(result)]).toEqual([target, ...expected]);
    }
    engine.close();
    const asked = engine.asked.filter((one) => !/^GET \/(containers\/json|volumes|networks)\?/.test(one));
    expect(asked).toEqual(['GET /images/sjs/none:1.0.0-000000000000/json', 'GET /images/none:1.0.0/json']);
    return 'TARGET_NOT_FOUND, RUN_NOT_FOUND; nothing pulled, no other path asked for';
  },
  async () => {
    const engine = await startEmptyEngine();
    const env = { ...process.env, ...engine.env };
    const pulled = execute('docker', ['run', '--rm', 'none:1.0.0'], { env, timeout: 30_000 });
    await expect(pulled).rejects.toThrow();
    engine.close();
    expect(engine.asked.join('\n')).toMatch(/^POST \S*\/images\/create\?/m);
    await writeFile(join(home, 'outside.json'), 'x');
    expect(await readFile(recordFile('../../outside'), 'utf8')).toBe('x');
    return 'docker run asks for a pull; a path made of the target leaves the folder';
  },
);

const FROZEN = { clock: '2024-01-01T00:00:00.000Z', seed: 42 };
/** Everything a program may take from outside, and some of what may vary inside; ends with 3. */
const DETERMINISTIC = `const { createHash, randomBytes, randomUUID } = require('crypto');
console.log(new Date(), process.hrtime.bigint(), performance.now(), Math.random(), randomBytes(8), randomUUID());
const input = require('fs').readFileSync(0);
let hash = createHash('sha256').update(input).digest('hex');
for (let at = 0; at < 1000; at += 1) hash = createHash('sha256').update(hash).digest('hex');
console.log(hash, process.argv.slice(2), Object.entries(process.env).sort(), Object.keys(process.memoryUsage()));
require('fs').writeFileSync('/out/hash', hash);
console.error([...hash].sort().join(''), process.getuid(), require('os').hostname());
process.exitCode = 3;`;
const REPLAYS = 100;
const WARM_UP = 20;
/** What a process may have gained by the last replays: 64 KiB kept of each would be more. */
const MOST_GAINED = { heapBytes: 2 * 1024 ** 2, residentBytes: 50 * 1024 ** 2, descriptors: 5 };
type Held = typeof MOST_GAINED;
/**
 * Does something again and again in one process, two at a time.
 * @param once the body of a function that does it once
 * @returns what it came to each time, and what the process has gained since its first times
 */
async function repeat<T>(once: string): Promise<{ readonly all: readonly T[]; readonly gained: Held }> {
  const code = `import { readdirSync } from 'node:fs';
import { createSjs } from ${JSON.stringify(pathToFileURL(resolve('dist/index.js')).href)};
const sjs = createSjs();
const kept = [];
const all = [];
const once = async () => { ${once} };
const act = async (times) => {
  const work = async () => { while (times-- > 0) all.push(await once()); };
  await Promise.all([work(), work()]);
  for (let round = 0; round < 3; round += 1) {
    gc();
    await new Promise((done) => setTimeout(done, 100));
  }
  const { heapUsed, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, residentBytes: rss, descriptors: readdirSync('/proc/self/fd').length };
};
console.log(JSON.stringify([await act(${WARM_UP}), await act(${REPLAYS - WARM_UP}), all]));`;
  const env = { ...process.env, HOME: home, SJS_HOME: join(home, 'sjs'), SJS_POLICY: world.policyFile };
  const words = ['--expose-gc', '--input-type=module', '-e', code];
  const { stdout } = await execute(process.execPath, words, { env, timeout: 270_000 });
  const [first, last, all] = JSON.parse(stdout) as [Held, Held, T[]];
  const gained = {
    heapBytes: last.heapBytes - first.heapBytes,
    residentBytes: last.residentBytes - first.residentBytes,
    descriptors: last.descriptors - first.descriptors,
  };
  return { all, gained };
}
const isTooMuch = (gained: Held): boolean =>
  (Object.keys(MOST_GAINED) as (keyof Held)[]).some((name) => gained[name] > MOST_GAINED[name]);
/** What the engine has of an image's runs, and this home of temporary files. */
async function remains(tag: string): Promise<readonly string[]> {
  const containers = docker(['ps', '-aq', '--filter', `ancestor=${tag}`]);
  const temporary = await readdir(join(home, 'sjs/tmp')).catch(() => []);
  return [...containers.split('\n').filter(Boolean), ...temporary];
}
interface Again extends ReplayVerdict {
  readonly ended: Pick<RunRecord, 'state' | 'exitCode' | 'stdout'>;
}
/** A run of such a program, all its replays, and what is left of them. */
async function replayAll() {
  const spec = `  determinism: ${JSON.stringify(FROZEN)}\n  filesystem: { out: 1Mi }\n`;
  const files = { 'sandbox.yaml': sandboxYaml('same', spec), 'index.js': DETERMINISTIC };
  const tag = await build(await makeFolder(files));
  const id = await run(tag, 'some input', ['an argument']);
  const volumes = (): string[] => docker(['volume', 'ls', '-q']).split('\n').filter(Boolean);
  const before = volumes();
  const { all, gained } = await repeat<Again>(
    `const { verdict, replay } = await sjs.replay(${JSON.stringify(id)});
    const { state, exitCode, stdout } = replay;
    return { ...verdict, ended: { state, exitCode, stdout } };`,
  );
  const left = await remains(tag);
  // Other tests come and go beside this one; what it made would be there for good.
  const made = volumes().filter((name) => !before.includes(name));
  await until('its volumes are gone', () => Promise.resolve(volumes().every((name) => !made.includes(name))));
  return { first: await readRecord(id), all, gained, left };
}
let replaying: ReturnType<typeof replayAll> | undefined;
const replayedAll = (): ReturnType<typeof replayAll> => (replaying ??= replayAll());
attack(
  'Y07',
  async () => {
    const { first, all } = await replayedAll();
    expect(first).toMatchObject({ determinism: FROZEN, artifacts: [{ path: 'hash' }] });
    const { stdout } = first;
    for (const { reproduced, differences, notCompared, ended } of all) {
      expect({ reproduced, differences, notCompared }).toEqual({
        reproduced: true,
        differences: [],
        notCompared: [],
      });
      expect(ended).toEqual({ state: 'failed', exitCode: 3, stdout });
    }
    expect(all).toHaveLength(REPLAYS);
    return `reproduced ${REPLAYS} of ${REPLAYS} times: output, files, exit code and state`;
  },
  async () => {
    const spec = '  filesystem: { out: 1Mi }\n';
    const files = { 'sandbox.yaml': sandboxYaml('random', spec), 'index.js': DETERMINISTIC };
    const id = await run(await build(await makeFolder(files)));
    expect((await readRecord(id)).determinism).toBeUndefined();
    const { reproduced, differences } = await replay(id);
    expect(reproduced).toBe(false);
    expect(differences.map(({ field }) => field)).toEqual(['stdout']);
    return 'time and random numbers are told apart at the first replay';
  },
  300_000,
);

/** A sealed image as one for another architecture, which the index has too. */
async function makeForeign(tag: string): Promise<{ readonly seal: Digest; readonly tag: string }> {
  const { image, entry } = JSON.parse((await runSjs(home, ['inspect', tag])).stdout) as SealedImage;
  const other = computeSeal({ ...image, platform: { os: 'linux', architecture: 'arm64' } });
  const foreign = formatTag(entry.name, entry.version, other);
  const folder = await makeFolder();
  await execute('sh', ['-c', `docker save ${tag} | tar -x -C ${folder}`]);
  const manifest = join(folder, 'manifest.json');
  const [{ Config, Layers }] = JSON.parse(await readFile(manifest, 'utf8')) as [SavedImage];
  const config = JSON.parse(await readFile(join(folder, Config), 'utf8')) as object;
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, architecture: 'arm64' }));
  await writeFile(manifest, JSON.stringify([{ Config: 'config.json', RepoTags: [foreign], Layers }]));
  await execute('sh', ['-c', `rm -f index.json oci-layout && tar -c . | docker load -q`], { cwd: folder });
  images.add(foreign);
  const file = join(home, 'sjs/images', `${hexOf(other)}.json`);
  await writeFile(file, JSON.stringify({ ...entry, seal: other, tag: foreign }));
  return { seal: other, tag: foreign };
}
interface SavedImage {
  readonly Config: string;
  readonly Layers: readonly string[];
}
attack(
  'Y04',
  async () => {
    const id = await run(await seal('elsewhere', 'console.log(1);'));
    const record = await readRecord(id);
    const older = { version: '19.03.0', runtimeVersion: '1.0.0-rc10', kernel: '4.4.0' };
    await writeFile(recordFile(id), JSON.stringify({ ...record, engine: { ...record.engine, ...older } }));
    const { reproduced, environment } = await replay(id);
    expect({ reproduced, environment }).toEqual({
      reproduced: true,
      environment: (['version', 'runtimeVersion', 'kernel'] as const).map((name) => ({
        field: `engine.${name}`,
        expected: older[name],
        actual: record.engine[name],
      })),
    });
    const foreign = await makeForeign(await seal('elsewhere', 'console.log(1);'));
    await writeFile(recordFile(id), JSON.stringify({ ...record, ...foreign }));
    const exported = join(await makeFolder(), 'foreign.tar');
    expect(await runSjs(home, ['export', foreign.tag, exported])).toMatchObject({ code: 0 });
    const other = await makeFolder();
    for (const [place, ...words] of [
      [home, 'run', foreign.tag],
      [home, 'replay', id],
      [other, 'import', '--trust', foreign.seal, exported],
    ] as const) {
      const refused = await runSjs(place, [...words, '--json']);
      expect([words[0], codeOf(refused)]).toEqual([words[0], 'SEAL_PLATFORM_MISMATCH']);
    }
    return 'SEAL_PLATFORM_MISMATCH for another architecture; else reproduced, and what differs is said';
  },
  async () => {
    const { tag } = await makeForeign(await seal('elsewhere', 'console.log(1);'));
    expect(docker(['run', '--rm', tag])).toBe('1');
    expect(await replay(await run(await seal('elsewhere', 'console.log(1);')))).toMatchObject({
      reproduced: true,
      environment: [],
    });
    return 'docker run starts the image of another architecture; of the same engine, runtime and kernel nothing is said';
  },
);

attack(
  'Y06',
  async () => {
    const id = await run(await seal('denied', 'console.log(1);'));
    const policy = join(await makeFolder(), 'policy.yaml');
    const now = await readFile(world.policyFile, 'utf8');
    await writeFile(policy, `${now}deny: { digests: ["${world.digest}"] }\n`, { mode: 0o600 });
    const refused = await runSjs(home, ['replay', id, '--json'], { env: { SJS_POLICY: policy } });
    expect([refused.code, codeOf(refused)]).toEqual([126, 'BASE_DENIED']);
    return 'BASE_DENIED';
  },
  async () => {
    expect(await replay(await run(await seal('denied', 'console.log(1);')))).toMatchObject({
      reproduced: true,
    });
    return 'reproduced';
  },
);

attack(
  'Y08',
  async () => {
    const { all, left, gained } = await replayedAll();
    expect([all.length, left]).toEqual([REPLAYS, []]);
    expect({ gained, isTooMuch: isTooMuch(gained) }).toEqual({ gained, isTooMuch: false });
    return `nothing is left of ${REPLAYS} replays in one process: containers, volumes, temporary files, memory, descriptors`;
  },
  async () => {
    const tag = await seal('left', '');
    docker(['run', tag]);
    const [left = '', ...more] = await remains(tag);
    docker(['rm', left]);
    expect([left.length > 0, more]).toEqual([true, []]);
    const { gained } = await repeat('kept.push(new Array(8192).fill(kept.length + 0.5));');
    expect({ gained, isTooMuch: isTooMuch(gained) }).toEqual({ gained, isTooMuch: true });
    return 'its container is left; what keeps 64 KiB each time is noticed';
  },
  300_000,
);
