import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { beforeAll, expect } from '@jest/globals';
import { extract, pack } from 'tar-stream';
import { buildByCommand } from '../../src/adapters/docker/build-command.js';
import { createDockerClient } from '../../src/adapters/docker/client.js';
import { createDockerImageStore } from '../../src/adapters/docker/docker-image-store.js';
import { sha256 } from '../../src/model/digest.js';
import { attack, sealSandbox, type AttackSandbox } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { COSIGN_2, runCosign } from '../support/cosign-generations.js';
import { startServer, stopServers } from '../support/tiny-server.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
stopServers();
const execute = promisify(execFile);
const CANARY = 'hunter2-canary';
const EVIL = 'sjs/attack-evil:1';

const images = removeImages();

let sandbox: AttackSandbox;
let evilId: string;
beforeAll(async () => {
  sandbox = await sealSandbox();
  const text = `FROM ${sandbox.tag}\nENTRYPOINT ["node", "-e", "console.log('evil')"]\n`;
  docker(['build', '-q', '-t', EVIL, '-'], { input: text });
  images.add(EVIL);
  evilId = docker(['image', 'inspect', '--format', '{{.Id}}', EVIL]);
}, 120_000);

const MINE = `console.log('mine')`;
const codeOf = (stdout: string): string => (JSON.parse(stdout) as { error: { code: string } }).error.code;
const restore = (): string => docker(['tag', sandbox.imageId, sandbox.tag]);

/** `sjs run` is refused with the code; the program was not started. */
async function refuseRun(code: string, exit = 126): Promise<string> {
  const result = await sandbox.run(MINE, '--json');
  expect([result.code, codeOf(result.stdout)]).toEqual([exit, code]);
  return code;
}

attack(
  'S01',
  async () => {
    const { id } = await sandbox.record(MINE);
    const replay = () => runSjs(sandbox.home, ['replay', id, '--json']);
    docker(['tag', EVIL, sandbox.tag]);
    try {
      await refuseRun('SEAL_MISMATCH');
      const replayed = await replay();
      expect([replayed.code, codeOf(replayed.stdout)]).toEqual([126, 'SEAL_MISMATCH']);
    } finally {
      restore();
    }
    expect(await sandbox.run(MINE)).toMatchObject({ code: 0, stdout: 'mine\n' });
    expect(await replay()).toMatchObject({ code: 0 });
    return 'SEAL_MISMATCH at run and at replay';
  },
  () => {
    docker(['tag', EVIL, sandbox.tag]);
    try {
      expect(docker(['run', '--rm', sandbox.tag])).toBe('evil');
    } finally {
      restore();
    }
    return 'docker run of the tag runs the other image';
  },
);

/** Builds the folder, and says under which tag. */
async function build(folder: string): Promise<string> {
  const { code, stdout } = await runSjs(sandbox.home, ['build', folder]);
  expect(code).toBe(0);
  images.add(stdout.trim());
  return stdout.trim();
}
const imageOf = (tag: string): string => docker(['image', 'inspect', '--format', '{{.Id}}', tag]);
attack(
  'S02',
  async () => {
    const yaml = sandboxYaml('resealed, version: 1.0.0');
    const makeContent = (content: string) =>
      makeFolder({ 'sandbox.yaml': yaml, 'index.js': `console.log('${content}')` });
    const [folder, other] = [await makeContent('first'), await makeContent('second')];
    const [first, second] = [await build(folder), await build(other)];
    expect(second).not.toBe(first);
    expect(await runSjs(sandbox.home, ['run', first])).toMatchObject({ stdout: 'first\n' });
    for (const flags of [['--force'], ['--tag', first], ['-t', first]]) {
      expect(await runSjs(sandbox.home, ['build', other, ...flags])).toMatchObject({ code: 2 });
    }
    // As if the digits in both tags were the same.
    expect(await runSjs(sandbox.home, ['rm', second])).toMatchObject({ code: 0 });
    docker(['tag', first, second]);
    const said = await withEdited(
      () => ({ tag: second }),
      async () => {
        const refused = await runSjs(sandbox.home, ['build', other, '--json']);
        expect(refused.code).toBe(3);
        return codeOf(refused.stdout);
      },
      first,
    );
    expect(said).toBe('SEAL_REFUSED');
    expect(imageOf(second)).toBe(imageOf(first));
    return 'another tag beside it; where the digits are the same too, SEAL_REFUSED';
  },
  () => {
    const tag = 'sjs-attack/resealed:1.0.0';
    images.add(tag);
    const [first, second] = ['1', '2'].map((content) => {
      docker(['build', '-q', '-t', tag, '-'], { input: `FROM scratch\nLABEL resealed="${content}"\n` });
      return imageOf(tag);
    });
    expect(second).not.toBe(first);
    return 'docker build moves the tag to the other content';
  },
);

attack(
  'S03',
  async () => {
    const contents = ['1', '2', '3', '4', '5', '6'];
    const built = await Promise.all(
      contents.map(async (content) => {
        const files = { 'sandbox.yaml': sandboxYaml('raced'), 'index.js': `console.log(${content})` };
        const result = await runSjs(sandbox.home, ['build', await makeFolder(files)]);
        expect(result.code).toBe(0);
        return result.stdout.trim();
      }),
    );
    built.forEach((tag) => images.add(tag));
    expect(new Set(built).size).toBe(contents.length);
    const index = await runSjs(sandbox.home, ['images', '--json']);
    const indexed = (JSON.parse(index.stdout) as { tag: string }[]).map(({ tag }) => tag);
    expect(indexed).toEqual(expect.arrayContaining(built));
    for (const at of [0, contents.length - 1]) {
      expect(await runSjs(sandbox.home, ['run', built[at] ?? ''])).toMatchObject({
        stdout: `${contents[at]}\n`,
      });
    }
    return `${contents.length} seals, each under a tag of its own, and all in the index`;
  },
  () => {
    const tag = 'sjs-attack/raced:1';
    images.add(tag);
    for (const content of ['1', '2']) {
      docker(['build', '-q', '-t', tag, '-'], { input: `FROM scratch\nLABEL content="${content}"\n` });
    }
    expect(docker(['image', 'inspect', '--format', '{{.Config.Labels.content}}', tag])).toBe('2');
    return 'docker build moves the tag: the first image lost its name';
  },
);

/** Edits the entry of a tag in the index, the sandbox's when none is named; acts, and puts back what was there. */
async function withEdited<T>(
  edit: (entry: IndexFile) => Partial<IndexFile>,
  act: (entry: IndexFile) => T | Promise<T>,
  tag = sandbox.tag,
): Promise<T> {
  const folder = join(sandbox.home, 'sjs/images');
  const file = await (async () => {
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if ((JSON.parse(await readFile(path, 'utf8')) as IndexFile).tag === tag) return path;
    }
    throw new Error(`the index has no entry of ${tag}`);
  })();
  const text = await readFile(file, 'utf8');
  const entry = JSON.parse(text) as IndexFile;
  const edited = { ...entry, ...edit(entry) };
  await writeFile(file, JSON.stringify(edited));
  try {
    return await act(edited);
  } finally {
    await writeFile(file, text);
  }
}
interface IndexFile {
  readonly seal: string;
  readonly tag: string;
  readonly name: string;
  readonly imageId: string;
  readonly base: { readonly digest: string; readonly manifestDigest: string };
}

attack(
  'S04',
  async () => {
    const said = [
      await withEdited(
        () => ({ tag: EVIL }),
        async () => {
          const result = await runSjs(sandbox.home, ['run', EVIL, '--json']);
          return [result.code, codeOf(result.stdout)].join(' ');
        },
      ),
      await withEdited(
        () => ({ seal: sha256('another') }),
        () => refuseRun('SEAL_MISMATCH'),
      ),
      await withEdited(
        () => ({ name: 'another' }),
        () => refuseRun('SEAL_INDEX_MISMATCH'),
      ),
      await withEdited(
        ({ base }) => ({ base: { ...base, manifestDigest: sha256('another') } }),
        () => refuseRun('SEAL_INDEX_MISMATCH'),
      ),
      await withEdited(
        ({ base }) => ({ base: { ...base, digest: sha256('another') } }),
        async () => {
          const result = await runSjs(sandbox.home, ['verify', sandbox.tag, '--json']);
          expect(result.code).not.toBe(0);
          return codeOf(result.stdout);
        },
      ),
    ];
    expect(said[0]).toBe('126 SEAL_MISMATCH');
    const harmless = await withEdited(
      () => ({ imageId: evilId }),
      () => sandbox.run(MINE),
    );
    expect(harmless.stdout).not.toBe('evil\n');
    return said.join(', ');
  },
  () =>
    withEdited(
      () => ({ imageId: evilId }),
      ({ imageId }) => {
        expect(docker(['run', '--rm', imageId])).toBe('evil');
        return 'docker run of the image that the entry names runs the other one';
      },
    ),
);

/** A base in the registry of the tests, built by docker from the context and signed by the trusted key. */
async function signBase(name: string, context: string): Promise<string> {
  const repository = `${world.registry}/base/${name}`;
  const tag = `${repository}:24.1.0`;
  images.add(tag);
  docker(['build', '-q', '-t', tag, context]);
  docker(['push', '-q', tag]);
  const digests = JSON.parse(
    docker(['image', 'inspect', '--format', '{{json .RepoDigests}}', tag]),
  ) as string[];
  const reference = digests.find((digest) => digest.startsWith(repository)) ?? '';
  const annotations = ['-a', 'version=24.1.0', '-a', `repository=${repository}`];
  const flags = ['--tlog-upload=false', '--yes', '--allow-insecure-registry'];
  await runCosign(COSIGN_2, ['sign', '--key', world.keyFile, ...flags, ...annotations, reference]);
  return repository;
}

/** `sjs build` over the base is refused with the code; what it says. */
async function refuseBase(repository: string, code: string): Promise<string> {
  const spec = `  base: { image: "${repository}", version: "24.1.0" }\n`;
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('over-bad', spec), 'index.js': '1' });
  const { code: exit, stdout } = await runSjs(sandbox.home, ['build', folder, '--json']);
  expect([exit, codeOf(stdout)]).toEqual([3, code]);
  expect(docker(['images', '-q', '--filter', 'label=dev.sjs.name=over-bad'])).toBe('');
  return (JSON.parse(stdout) as { error: { message: string } }).error.message;
}

/** What a policy allowed once is refused, and not answered from the index, when the policy allows it no more. */
async function refuseAllowedBefore(repository: string): Promise<void> {
  const spec = `  base: { image: "${repository}", version: "24.1.0" }\n`;
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('over-su', spec), 'index.js': '1' });
  const policy = await readFile(world.policyFile, 'utf8');
  const lax = policy.replace(/^( *)- repository:/gm, '$1- allowSetuidFiles: true\n$1  repository:');
  const laxFolder = await makeFolder({ 'policy.yaml': lax });
  const env = { SJS_POLICY: join(laxFolder, 'policy.yaml') };
  const built = await runSjs(sandbox.home, ['build', folder, '--json'], { env });
  expect(built).toMatchObject({ code: 0 });
  images.add((JSON.parse(built.stdout) as { tag: string }).tag);
  expect((await runSjs(sandbox.home, ['build', folder, '--json'], { env })).stdout).toContain(
    '"cached": true',
  );
  const { code, stdout } = await runSjs(sandbox.home, ['build', folder, '--json']);
  expect([code, codeOf(stdout)]).toEqual([3, 'BASE_ROOTFS_REFUSED']);
}

const over = (text: string, files: Record<string, string> = {}): Promise<string> =>
  makeFolder({ Dockerfile: `FROM ${world.reference}\n${text}`, ...files });
const CAPABILITIES = 'SCHILY.xattr.security.capability';
/** A context for a base with a setuid file, one with capabilities, and a folder that everybody may write. */
async function makeSetuid(): Promise<string> {
  const added = 'COPY --chmod=4755 su /usr/bin/other\nADD open.tar /srv/\nADD raw.tar /usr/bin/\n';
  const folder = await over(added, { su: 'x' });
  const raw = pack();
  // CAP_NET_RAW, permitted and in force: a struct vfs_cap_data of version 2.
  const value = `\x01\0\0\x02\0\x20${'\0'.repeat(14)}`;
  raw.entry({ name: 'raw', mode: 0o755, pax: { [CAPABILITIES]: value } }, 'x');
  raw.finalize();
  await writeFile(join(folder, 'raw.tar'), await buffer(raw));
  await mkdir(join(folder, 'open'));
  await chmod(join(folder, 'open'), 0o777);
  execFileSync('tar', ['-cf', join(folder, 'open.tar'), '-C', folder, 'open']);
  return folder;
}

attack(
  'S06',
  async () => {
    const config = await signBase('volumes', await over('VOLUME /data\nONBUILD ENV X=1\n'));
    expect(await refuseBase(config, 'BASE_CONFIG_REFUSED')).toMatch(/volume/i);
    const files = await signBase('setuid', await makeSetuid());
    const said = await refuseBase(files, 'BASE_ROOTFS_REFUSED');
    expect(said).toContain('/usr/bin/other is setuid or setgid');
    expect(said).toContain('/usr/bin/raw has file capabilities');
    expect(said).toContain('/srv/open is writable by everybody');
    await refuseAllowedBefore(
      await signBase('su', await over('COPY --chmod=4755 su /usr/bin/other\n', { su: 'x' })),
    );
    return 'BASE_CONFIG_REFUSED, BASE_ROOTFS_REFUSED, with the list';
  },
  async () => {
    const tag = 'sjs-attack/setuid:1';
    images.add(tag);
    docker(['build', '-q', '-t', tag, await makeSetuid()]);
    const look = `console.log(require('fs').statSync('/usr/bin/other').mode & 0o4000)`;
    expect(docker(['run', '--rm', '--entrypoint', 'node', tag, '-e', look])).toBe('2048');
    expect(exported(tag, `grep -ac ${CAPABILITIES}`)).toEqual(['1']);
    return 'docker builds over it, and both files are there with what they bring';
  },
);

attack(
  'S07',
  async () => {
    const code = `console.log('to be removed')`;
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('gone'), 'index.js': code });
    const tag = (await runSjs(sandbox.home, ['build', folder])).stdout.trim();
    const run = JSON.parse((await runSjs(sandbox.home, ['run', tag, '--json'])).stdout) as { id: string };
    docker(['image', 'rm', tag]);
    for (const command of [
      ['run', tag],
      ['replay', run.id],
    ]) {
      const result = await runSjs(sandbox.home, [...command, '--json']);
      expect([result.code, codeOf(result.stdout)]).toEqual([127, 'SEAL_IMAGE_MISSING']);
    }
    expect(docker(['images', '-q', tag])).toBe('');
    return 'SEAL_IMAGE_MISSING at run and at replay; nothing pulled';
  },
  () => {
    const tag = `${world.registry}/public/gone:1`;
    images.add(tag);
    docker(['tag', EVIL, tag]);
    docker(['push', '-q', tag]);
    docker(['image', 'rm', tag]);
    expect(docker(['run', '--rm', tag])).toBe('evil');
    return 'docker run pulls what has the name, and runs it';
  },
);

/** Connects from a build step to a server of this machine; also tries where clouds keep credentials. */
async function reachFromBuild(build: (dockerfile: string) => Promise<unknown>): Promise<number> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.end();
  });
  await new Promise<void>((done) => server.listen(0, '0.0.0.0', done));
  const { port } = server.address() as AddressInfo;
  const targets = [
    [port, '127.0.0.1'],
    [port, '172.17.0.1'],
    [80, '169.254.169.254'],
  ];
  const script = `let left = ${targets.length}; for (const [port, host] of ${JSON.stringify(targets)}) {
    const socket = require('net').connect({ port, host, timeout: 3000 });
    const lost = () => { socket.destroy(); if (--left === 0) process.exit(7); };
    socket.once('connect', () => process.exit(0)).once('error', lost).once('timeout', lost); }`;
  try {
    await build(`FROM ${world.reference}\nRUN ${JSON.stringify(['node', '-e', script])}\n`);
  } finally {
    server.close();
  }
  return connections;
}

attack(
  'D06',
  async () => {
    const client = await createDockerClient({ env: process.env, home: homedir() });
    const store = createDockerImageStore(client);
    let refusal: unknown;
    const connections = await reachFromBuild(async (dockerfile) => {
      const context = pack();
      context.entry({ name: 'Dockerfile' }, dockerfile);
      context.finalize();
      const bytes = await buffer(context);
      const built = store.build(
        () => Readable.from(bytes, { objectMode: false }),
        'sjs-attack/net:1',
        () => {},
      );
      refusal = await built.catch((error: unknown) => error);
    });
    expect(refusal).toMatchObject({ code: 'BUILD_FAILED', message: expect.stringContaining('7') });
    expect(connections).toBe(0);
    return 'no connection: the step has no network';
  },
  async () => {
    const connections = await reachFromBuild(async (dockerfile) => {
      const folder = await makeFolder({ Dockerfile: dockerfile });
      // Not in one piece with this process, which has to answer.
      const { stdout } = await execute('docker', ['build', '-q', '--network=host', folder]);
      images.add(stdout.trim());
    });
    expect(connections).toBeGreaterThan(0);
    return 'the build step connects to this machine';
  },
);

const remotes = (host: string): string[] => [
  `http://${host}/context.tar.gz`,
  `http://${host}/repository.git#main:folder`,
  `git://${host}/repository.git`,
  `git@${host}:repository.git`,
];
const serveDockerfile = () =>
  startServer((_request, response) => response.setHeader('content-type', 'text/plain').end(REMOTE));
const REMOTE = 'FROM scratch\nLABEL remote="1"\n';
attack(
  'D11',
  async () => {
    const { host, seen } = await serveDockerfile();
    const codes = new Set<string>();
    for (const remote of remotes(host)) {
      const given = await runSjs(sandbox.home, ['build', remote, '--json']);
      const yaml = sandboxYaml('remote').replace('source: .', `source: ${JSON.stringify(remote)}`);
      const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.js': '1' });
      const declared = await runSjs(sandbox.home, ['build', folder, '--json']);
      for (const { stdout } of [given, declared]) codes.add(codeOf(stdout));
    }
    expect([...codes].sort()).toEqual(['FILE_NOT_FOUND', 'SANDBOX_INVALID']);
    expect(seen).toEqual([]);
    return 'FILE_NOT_FOUND for a target, SANDBOX_INVALID for a source, and nobody was asked';
  },
  async () => {
    const { host, seen } = await serveDockerfile();
    const { stdout } = await execute('docker', ['build', '-q', remotes(host)[0] ?? '']);
    images.add(stdout.trim());
    expect(seen.length).toBeGreaterThan(0);
    expect(docker(['image', 'inspect', '--format', '{{.Config.Labels.remote}}', stdout.trim()])).toBe('1');
    return 'docker build fetches it, and builds what came';
  },
);

const BOUND_MS = 4000;
/** A Dockerfile whose step prints a terminal's commands for ever; its process, as this machine sees it. */
function makeEndless() {
  const mark = `endless-${randomUUID()}`;
  const code = `setInterval(() => process.stdout.write('\\u001b]0;x\\u0007'.repeat(1000)), 1) // ${mark}`;
  const dockerfile = `FROM ${world.reference}\nRUN ${JSON.stringify(['node', '-e', code])}\n`;
  const isRunning = async (): Promise<boolean> => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
    return (await Promise.all(lines)).some((line) => line.startsWith('node') && line.includes(mark));
  };
  return { dockerfile, isRunning };
}
attack(
  'D12',
  async () => {
    const client = await createDockerClient({ env: process.env, home: homedir() });
    // As ever, but for how long a build may take.
    const call: typeof client.call = (name, timeoutMs, make, abort) =>
      client.call(name, name === 'build' ? BOUND_MS : timeoutMs, make, abort);
    const store = createDockerImageStore({ ...client, call });
    const { dockerfile, isRunning } = makeEndless();
    const context = pack();
    context.entry({ name: 'Dockerfile' }, dockerfile);
    context.finalize();
    const bytes = await buffer(context);
    const open = (): Readable => Readable.from(bytes, { objectMode: false });
    const said: string[] = [];
    const building = store.build(open, 'sjs-attack/endless:1', (words) => void said.push(words));
    const refused = expect(building).rejects.toMatchObject({ code: 'BUILD_TIMEOUT' });
    await until('the step runs', isRunning);
    await refused;
    await until('the step is ended', async () => !(await isRunning()));
    expect(said.join('').length).toBeLessThan(1024 ** 2);
    return 'BUILD_TIMEOUT; the engine ends the step';
  },
  async () => {
    const { dockerfile, isRunning } = makeEndless();
    const folder = await makeFolder({ Dockerfile: dockerfile });
    const building = execute('docker', ['build', '-q', folder]);
    building.catch(() => undefined);
    await until('the step runs', isRunning);
    await delay(BOUND_MS);
    expect(await isRunning()).toBe(true);
    building.child.kill('SIGTERM');
    await until('the step is ended', async () => !(await isRunning()));
    return 'docker build goes on, until it is told to end';
  },
);

const PROXY = `http://operator:${CANARY}@127.0.0.1:9`;
const PROXY_NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'];
const PROXY_ENV = Object.fromEntries(PROXY_NAMES.map((name) => [name, PROXY]));
/** The environment of an operator behind proxies, of which Docker's configuration knows too. */
async function makeProxied(): Promise<Record<string, string>> {
  const proxies = { default: { httpProxy: PROXY, httpsProxy: PROXY, allProxy: PROXY } };
  return { ...PROXY_ENV, DOCKER_CONFIG: await makeFolder({ 'config.json': JSON.stringify({ proxies }) }) };
}
/** A Dockerfile whose step keeps its environment; never answered from what another build left. */
const keepEnvironment = (): string => {
  const code = `require('fs').writeFileSync('/kept', JSON.stringify(process.env)) // ${randomUUID()}`;
  return `FROM ${world.reference}\nARG HTTP_PROXY\nRUN ${JSON.stringify(['node', '-e', code])}\n`;
};
const wordsOf = (image: string): string =>
  docker(['image', 'inspect', image]) + docker(['history', '--no-trunc', image]);
const keptOf = (image: string): string =>
  docker(['run', '--rm', '--entrypoint', 'node', image, '-p', `require('fs').readFileSync('/kept', 'utf8')`]);
attack(
  'D07',
  async () => {
    const env = await makeProxied();
    const client = await createDockerClient({ env: { ...process.env, ...env }, home: homedir() });
    const store = createDockerImageStore(client);
    for (const way of ['api', 'command']) {
      const context = pack();
      context.entry({ name: 'Dockerfile' }, keepEnvironment());
      context.finalize();
      const bytes = await buffer(context);
      const open = (): Readable => Readable.from(bytes, { objectMode: false });
      const tag = `sjs-attack/proxied:${way}`;
      images.add(tag);
      if (way === 'api') await store.build(open, tag, () => {});
      else await buildByCommand(client, open(), tag);
      expect(JSON.parse(keptOf(tag))).toHaveProperty('PATH');
      expect(keptOf(tag) + wordsOf(tag)).not.toContain(CANARY);
    }
    const code = 'console.log(JSON.stringify(process.env))';
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('proxied'), 'index.js': code });
    const tag = (await runSjs(sandbox.home, ['build', folder], { env })).stdout.trim();
    images.add(tag);
    const run = await runSjs(sandbox.home, ['run', tag], { env });
    expect(JSON.parse(run.stdout)).toHaveProperty('PATH');
    expect(run.stdout + wordsOf(tag)).not.toContain(CANARY);
    return 'not in a step, the history or the config, by the API or the command; not in a run';
  },
  async () => {
    const env = { ...process.env, ...(await makeProxied()) };
    const image = docker(['build', '-q', '-'], { env, input: keepEnvironment() });
    images.add(image);
    expect(keptOf(image)).toContain(CANARY);
    expect(wordsOf(image)).toContain(CANARY);
    return 'docker build gives the password to the step, and leaves it in the history';
  },
);

/** Whether the canary is in an image: its inspect, its history, and every byte of its saved layers. */
async function holdsCanary(image: string): Promise<boolean> {
  if (wordsOf(image).includes(CANARY)) return true;
  const saved = join(await makeFolder(), 'image.tar');
  docker(['save', '-o', saved, image]);
  const reader = extract();
  reader.end(await readFile(saved));
  let found = false;
  for await (const entry of reader) {
    const bytes = await buffer(entry);
    const content = bytes.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b])) ? gunzipSync(bytes) : bytes;
    found ||= content.includes(CANARY) || content.includes(Buffer.from(CANARY).toString('base64'));
  }
  return found;
}

const HOST_SECRETS = { AWS_SECRET_ACCESS_KEY: CANARY, NPM_TOKEN: CANARY };
const LEAKING = { '.npmrc': `//r.example.com/:_authToken=${CANARY}`, '.env': `KEY=${CANARY}` };
attack(
  'D08',
  async () => {
    const auth = { auths: { [world.registry]: { auth: Buffer.from(`user:${CANARY}`).toString('base64') } } };
    const config = await makeFolder({ 'config.json': JSON.stringify(auth) });
    const files = { 'sandbox.yaml': sandboxYaml('leaking'), 'index.js': '1', ...LEAKING };
    const env = { ...HOST_SECRETS, DOCKER_CONFIG: config };
    const built = await runSjs(sandbox.home, ['build', await makeFolder(files)], { env });
    const tag = built.stdout.trim();
    images.add(tag);
    expect(built).toMatchObject({ code: 0 });
    expect(built.stdout + built.stderr).not.toContain(CANARY);
    expect(await holdsCanary(tag)).toBe(false);
    return 'in no layer, not in the history, not in the config';
  },
  async () => {
    const Dockerfile = 'FROM scratch\nCOPY . /app\n';
    const layers = docker(['build', '-q', await makeFolder({ Dockerfile, ...LEAKING })]);
    const text = 'FROM scratch\nARG NPM_TOKEN\nENV USED=$NPM_TOKEN\n';
    const env = { ...process.env, ...HOST_SECRETS };
    const folder = await makeFolder({ Dockerfile: text });
    const config = docker(['build', '-q', '--build-arg', 'NPM_TOKEN', folder], { env });
    for (const image of [layers, config]) {
      images.add(image);
      expect(await holdsCanary(image)).toBe(true);
    }
    return 'docker build leaves it in a layer, and in the history';
  },
);

/** A context for an image in whose root folders are links. */
async function makeOddRoot(): Promise<string> {
  const folder = await makeFolder({ Dockerfile: 'FROM scratch\nADD root.tar /\nENV PATH=/bin\n' });
  const root = await makeFolder({ 'etc/motd': 'x' });
  for (const name of ['app', 'tmp', 'proc', 'sys']) await symlink('etc', join(root, name));
  execFileSync('tar', ['-cf', join(folder, 'root.tar'), '-C', root, '.']);
  return folder;
}
/** What a command makes of the file system of a container that is never started; its paths, when none is named. */
function exported(image: string, command = 'tar -tf -'): string[] {
  const container = docker(['create', image, 'x']);
  try {
    return execFileSync('sh', ['-c', `docker export ${container} | ${command}`], { encoding: 'utf8' })
      .trim()
      .split('\n');
  } finally {
    docker(['rm', container]);
  }
}
attack(
  'D16',
  async () => {
    const said = await refuseBase(await signBase('odd-root', await makeOddRoot()), 'BASE_ROOTFS_REFUSED');
    expect(said).toContain('/app is not a plain folder');
    expect(said).toContain('/tmp is not a plain folder');
    const files = { 'sandbox.yaml': sandboxYaml('own-proc'), 'proc/self/x': '1', 'dev/x': '1' };
    const code = `console.log(require('fs').readdirSync('/app').join())`;
    const built = await runSjs(sandbox.home, ['build', await makeFolder({ ...files, 'index.js': code })]);
    images.add(built.stdout.trim());
    const run = await runSjs(sandbox.home, ['run', built.stdout.trim()]);
    expect(run.stdout).toBe('dev,index.js,proc\n');
    return 'BASE_ROOTFS_REFUSED; the author’s proc and dev lie in /app';
  },
  async () => {
    const base = 'sjs-attack/odd-root:1';
    images.add(base);
    docker(['build', '-q', '-t', base, await makeOddRoot()]);
    const Dockerfile = `FROM ${base}\nCOPY passwd /app/passwd\n`;
    const image = docker(['build', '-q', await makeFolder({ Dockerfile, passwd: 'x' })]);
    images.add(image);
    expect(exported(image)).toContain('etc/passwd');
    return 'docker build follows the link: what was for /app is in /etc';
  },
);

const REWRITE = `try { require('fs').appendFileSync('/app/index.js', '//'); console.log('rewritten') }
catch (error) { console.log(error.code) }`;
const rewrite = (image: string): string =>
  docker(['run', '--rm', '--user', '65532:65532', '--entrypoint', 'node', image, '-e', REWRITE]);
async function makeOpenSource(): Promise<string> {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('open-modes'), 'index.js': '1' });
  await chmod(join(folder, 'index.js'), 0o777);
  return folder;
}
attack(
  'D17',
  async () => {
    const tag = (await runSjs(sandbox.home, ['build', await makeOpenSource()])).stdout.trim();
    images.add(tag);
    expect(rewrite(tag)).toBe('EACCES');
    const STAT = `['/app', '/app/index.js'].map((path) => { const { uid, gid, mode } = fs.statSync(path);
      return [uid, gid, (mode & 0o7777).toString(8)].join(':') })`;
    expect(await sandbox.ask(STAT)).toEqual(['0:0:755', '0:0:644']);
    return 'EACCES, even with a writable root: 0:0, 0755 and 0644';
  },
  async () => {
    const folder = await makeOpenSource();
    await writeFile(join(folder, 'Dockerfile'), `FROM ${world.reference}\nCOPY . /app\n`);
    const image = docker(['build', '-q', folder]);
    images.add(image);
    expect(rewrite(image)).toBe('rewritten');
    return 'docker build keeps 0777, and the program rewrites itself';
  },
);

/** An image that docker builds with the Dockerfile of a sandbox, of another program. */
async function craftParent(folder: string): Promise<string> {
  const planned = await runSjs(sandbox.home, ['plan', folder, '--json']);
  const { dockerfile } = JSON.parse(planned.stdout) as { dockerfile: string };
  const context = await makeFolder({ Dockerfile: dockerfile, 'layer/app/index.js': `console.log('evil')` });
  const image = docker(['build', '-q', context]);
  images.add(image);
  return image;
}
const HISTORY = ['history', '--no-trunc', '--format', '{{.CreatedBy}}'];
attack(
  'D09',
  async () => {
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('cache'), 'index.js': MINE });
    const build = async (home: string): Promise<{ readonly tag: string; readonly seal: string }> => {
      const { stdout } = await runSjs(home, ['build', folder, '--json']);
      return JSON.parse(stdout) as { tag: string; seal: string };
    };
    const { tag, seal } = await build(sandbox.home);
    const history = docker([...HISTORY, tag]);
    docker(['image', 'rm', tag]);
    expect(docker([...HISTORY, await craftParent(folder)])).toBe(history);
    const home = await makeFolder();
    expect(await build(home)).toMatchObject({ tag, seal });
    images.add(tag);
    expect((await runSjs(home, ['run', tag])).stdout).toBe('mine\n');
    return 'the same seal as before, and the right program';
  },
  async () => {
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('cache'), 'index.js': MINE });
    expect(docker(['run', '--rm', await craftParent(folder)])).toBe('evil');
    return 'what was crafted runs the other program';
  },
);
