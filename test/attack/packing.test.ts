import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, symlink, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { beforeAll, expect } from '@jest/globals';
import { pack as packTree } from 'tar-fs';
import { extract, type Header } from 'tar-stream';
import { collectSource } from '../../src/stages/collect/collect-source.js';
import { packContext } from '../../src/stages/pack/pack-context.js';
import { attack } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { makeLoaded } from '../support/sandbox.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
/** As long as {@link GOOD}: a packer that declares the size of the one can send the other. */
const CANARY = 'CANARY';
const GOOD = 'GOOD--';
const TRIES = 1_000;
const RACE_MS = 3_000;

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});

const makeSource = (files: Record<string, string> = {}): Promise<string> =>
  makeFolder({ 'sandbox.yaml': sandboxYaml('packed'), 'index.js': '1', ...files });

/** `sjs build` refuses the folder with the code, and shows nothing of what it must not read. */
async function refuse(folder: string, code: string): Promise<string> {
  const result = await runSjs(home, ['build', folder, '--json']);
  const { error } = JSON.parse(result.stdout) as { error: { code: string; message: string } };
  expect([result.code, error.code]).toEqual([2, code]);
  expect(result.stdout + result.stderr).not.toContain(CANARY);
  return `${code}: ${error.message}`;
}

/** The build context of a folder as `sjs build` packs it. */
async function packSafely(folder: string, exclude: readonly string[] = []): Promise<Buffer> {
  const tree = await collectSource(makeLoaded(join(folder, 'sandbox.yaml'), { exclude }), {
    maxBytes: 1024 ** 3,
    forbidden: { containing: [], being: [] },
  });
  return buffer((await packContext({ dockerfile: 'FROM x\n', tree, files: {}, folders: [] })).open());
}

const tar = (...args: string[]): Buffer => execFileSync('tar', args, { maxBuffer: 64 * 1024 ** 2 });

async function headersOf(context: Buffer): Promise<Map<string, Header>> {
  const headers = new Map<string, Header>();
  const reader = extract();
  reader.end(context);
  for await (const entry of reader) {
    headers.set(entry.header.name, entry.header);
    entry.resume();
  }
  return headers;
}

/** The same folder as tar-fs packs it. */
const packPlainly = (folder: string): Promise<Buffer> => buffer(packTree(folder));

attack(
  'P01',
  async () => {
    const { folder, canary } = await leading((secret) => secret);
    const said = await refuse(folder, 'SOURCE_LINK');
    expect(said).toContain(`leak -> ${canary} is absolute`);
    return 'SOURCE_LINK, with the link and its target';
  },
  async () => {
    const { folder } = await leading((secret) => secret);
    expect(tar('-chf', '-', '-C', folder, '.').includes(CANARY)).toBe(true);
    return 'the canary is in the archive';
  },
);

/** A source with a link `leak` to a canary outside it. */
async function leading(target: (canary: string) => string, files: Record<string, string> = {}) {
  const parent = await makeFolder({ canary: CANARY });
  const folder = join(parent, 'source');
  await mkdir(folder);
  const source = { 'sandbox.yaml': sandboxYaml('packed'), 'index.js': '1', ...files };
  execFileSync('cp', ['-r', `${await makeFolder(source)}/.`, folder]);
  const canary = join(parent, 'canary');
  await symlink(target(canary), join(folder, 'leak'));
  return { folder, canary };
}

const WAYS_OUT: readonly (readonly [string, Record<string, string>])[] = [
  ['../canary', {}],
  ['one', { one: 'two', two: '../canary' }],
  // Looks as if it stayed below p.
  ['p/q/link/../../canary', { 'p/q/link': '../../a' }],
];

/** A source for each way out of it, with the further links there. */
async function waysOut(): Promise<string[]> {
  const folders = WAYS_OUT.map(async ([target, links]) => {
    const { folder } = await leading(() => target, { 'a/f': '', 'p/q/f': '' });
    for (const [name, to] of Object.entries(links)) await symlink(to, join(folder, name));
    return folder;
  });
  return Promise.all(folders);
}

attack(
  'P02',
  async () => {
    const loop = await makeSource();
    await symlink('b', join(loop, 'a'));
    await symlink('a', join(loop, 'b'));
    const said = [];
    for (const folder of [...(await waysOut()), loop]) said.push(await refuse(folder, 'SOURCE_LINK'));
    expect(said.slice(0, -1).every((words) => words.includes('leaves the source'))).toBe(true);
    expect(said.at(-1)).toContain('never ends');
    return 'SOURCE_LINK for each; a loop ends';
  },
  async () => {
    for (const folder of await waysOut()) {
      expect(tar('-chf', '-', '-C', folder, '.').includes(CANARY)).toBe(true);
    }
    return 'the canary is in the archive of each';
  },
);

/** While a process of its own does `step` again and again, `act` is tried until it says stop. */
async function race(step: string, folder: string, act: () => Promise<boolean>): Promise<number> {
  const script = `const fs = require('fs'); const end = Date.now() + ${4 * RACE_MS};
const pause = new Int32Array(new SharedArrayBuffer(4));
console.log('started');
while (Date.now() < end) { ${step}; Atomics.wait(pause, 0, 0, Math.random()); }`;
  const child = spawn(process.execPath, ['-e', script], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
    const end = Date.now() + RACE_MS;
    for (let tries = 1; tries <= TRIES && Date.now() < end; tries += 1) if (await act()) return tries;
    return TRIES;
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
}

/** A source, and a canary beside it. */
const makeRace = (): Promise<string> =>
  makeFolder({ 'source/f': GOOD, 'source/d/f': GOOD, 'outside/f': CANARY });
const TRADE_FILE = `fs.symlinkSync('../outside/f', 'new'); fs.renameSync('new', 'source/f');
Atomics.wait(pause, 0, 0, Math.random()); fs.writeFileSync('new', '${GOOD}'); fs.renameSync('new', 'source/f')`;
const TRADE_PARENT = `fs.renameSync('source/d', 'kept'); fs.symlinkSync('../outside', 'source/d');
Atomics.wait(pause, 0, 0, Math.random()); fs.unlinkSync('source/d'); fs.renameSync('kept', 'source/d')`;

/** Packs while they trade places: never the canary, and often enough a refusal. */
async function packInRace(step: string): Promise<string> {
  const folder = await makeRace();
  let [packed, refused] = [0, 0];
  await race(step, folder, async () => {
    try {
      const context = await packSafely(join(folder, 'source'));
      expect(context.includes(CANARY)).toBe(false);
      packed += 1;
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^SOURCE_(CHANGED|LINK)$/) });
      refused += 1;
    }
    return false;
  });
  expect(refused).toBeGreaterThan(0);
  return `${packed} packed without the canary, ${refused} refused`;
}

/** The same with tar-fs, which opens by name. */
async function packPlainlyInRace(step: string): Promise<string> {
  const folder = await makeRace();
  let leaked = false;
  const tries = await race(step, folder, async () => {
    const context = await packPlainly(join(folder, 'source')).catch(() => Buffer.alloc(0));
    leaked = context.includes(CANARY);
    return leaked;
  });
  expect(leaked).toBe(true);
  return `the canary is packed at try ${tries}`;
}

attack(
  'P03',
  () => packInRace(TRADE_FILE),
  () => packPlainlyInRace(TRADE_FILE),
);
attack(
  'P04',
  () => packInRace(TRADE_PARENT),
  () => packPlainlyInRace(TRADE_PARENT),
);

attack(
  'P06',
  async () => {
    const [pipe, socket] = [await makeSource(), await makeSource()];
    execFileSync('mkfifo', [join(pipe, 'pipe')]);
    await refuse(pipe, 'SOURCE_SPECIAL_FILE');
    const server = createServer().listen(join(socket, 's'));
    await once(server, 'listening');
    await refuse(socket, 'SOURCE_SPECIAL_FILE').finally(() => server.close());
    return 'SOURCE_SPECIAL_FILE for a pipe and a socket';
  },
  async () => {
    const folder = await makeFolder();
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(() => execFileSync('cat', [join(folder, 'pipe')], { timeout: 1_000 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    return 'a reader hangs in open until it is killed';
  },
);

const makeSparse = async (): Promise<string> => {
  const folder = await makeSource({ big: '' });
  await truncate(join(folder, 'big'), 1024 ** 4);
  return folder;
};
attack(
  'P07',
  async () => {
    const said = await refuse(await makeSparse(), 'SOURCE_TOO_LARGE');
    expect(said).toContain('passed at big (1Ti)');
    return 'SOURCE_TOO_LARGE, by its size alone';
  },
  async () => {
    const piped = `tar -cf - -C "$0" big | head -c 100000000 | wc -c`;
    const bytes = execFileSync('sh', ['-c', piped, await makeSparse()], { encoding: 'utf8' });
    expect(bytes.trim()).toBe('100000000');
    return 'tar reads on; stopped at 100 MB';
  },
);

const OVERRIDES = {
  Dockerfile: 'FROM scratch\nLABEL taken.over=yes\n',
  'Dockerfile.dockerignore': '*',
  '.dockerignore': '*',
  'docker-bake.hcl': 'x',
};
const images = removeImages();
const labelsOf = (image: string): string =>
  docker(['image', 'inspect', '--format', '{{json .Config.Labels}}', image]);

attack(
  'P11',
  async () => {
    const list = `const fs = require('fs'); console.log(JSON.stringify(fs.readdirSync('/app').sort()), fs.readFileSync('/app/Dockerfile', 'utf8'))`;
    const folder = await makeSource({ ...OVERRIDES, 'index.js': list });
    const built = await runSjs(home, ['build', folder]);
    const tag = built.stdout.trim();
    images.add(tag);
    const names = [...Object.keys(OVERRIDES), 'index.js'].sort();
    expect(await runSjs(home, ['run', tag])).toMatchObject({
      code: 0,
      stdout: `${JSON.stringify(names)} ${OVERRIDES.Dockerfile}\n`,
    });
    expect(labelsOf(tag)).not.toContain('taken.over');
    return 'all of them are plain data in /app';
  },
  async () => {
    const folder = await makeSource(OVERRIDES);
    const image = docker(['build', '-q', folder]);
    images.add(image);
    expect(labelsOf(image)).toContain('"taken.over":"yes"');
    return 'docker build takes the author’s Dockerfile';
  },
);

async function makeModes(): Promise<string> {
  const folder = await makeSource({ 'run.sh': '', closed: '', 'shared/f': '' });
  await chmod(join(folder, 'run.sh'), 0o6755);
  await chmod(join(folder, 'closed'), 0o400);
  await chmod(join(folder, 'shared'), 0o1777);
  return folder;
}
attack(
  'P13',
  async () => {
    const headers = await headersOf(await packSafely(await makeModes()));
    const modes = ['run.sh', 'closed', 'shared'].map((name) => headers.get(`layer/app/${name}`)?.mode);
    expect(modes).toEqual([0o755, 0o644, 0o755]);
    for (const { uid, gid, pax } of headers.values()) expect([uid, gid, pax]).toEqual([0, 0, null]);
    return 'modes 0755, 0644, 0755, owner 0:0, no further attributes';
  },
  async () => {
    const headers = await headersOf(await packPlainly(await makeModes()));
    const bits = ['run.sh', 'shared'].map((name) => (headers.get(name)?.mode ?? 0) & 0o7000);
    expect(bits).toEqual([0o6000, 0o1000]);
    return 'tar-fs packs all three bits';
  },
);

const SECRETS = [
  '.env',
  '.npmrc',
  '.git/config',
  'id_rsa',
  '.aws/credentials',
  '.docker/config.json',
  'tls/server.pem',
  '.ssh/config',
  '.git-credentials',
];
const makeSecrets = (): Promise<string> =>
  makeSource(Object.fromEntries(SECRETS.map((name) => [name, `${CANARY} ${name}`])));
attack(
  'P14',
  async () => {
    const folder = await makeSecrets();
    const context = await packSafely(folder);
    expect(context.includes(CANARY)).toBe(false);
    const plan = await runSjs(home, ['plan', folder]);
    for (const name of ['.env', '.npmrc', 'id_rsa', '.aws', '.ssh']) expect(plan.stdout).toContain(name);
    return 'none is packed; sjs plan lists what stays out';
  },
  async () => {
    const folder = await makeSecrets();
    const named = await packSafely(folder, ['!id_rsa']);
    expect([named.includes(`${CANARY} id_rsa`), named.includes(`${CANARY} .env`)]).toEqual([true, false]);
    const plain = tar('-cf', '-', '-C', folder, '.');
    for (const name of SECRETS) expect(plain.includes(`${CANARY} ${name}`)).toBe(true);
    return 'named exactly, one is packed; tar packs them all';
  },
);
