import { execFile } from 'node:child_process';
import { chmod, cp, readFile, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { attack } from '../support/attack.js';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { docker, removeImages } from '../support/docker.js';
import { startSecondEngine, type SecondEngine } from '../support/second-engine.js';
import { shiftedClock } from '../support/shifted-clock.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const images = removeImages();
const DAY_MS = 24 * 3_600_000;

/** One that keeps its images in containerd, where the id of an image is another digest. */
let engine: SecondEngine;
let keys: Awaited<ReturnType<typeof makeCosignKeys>>;
let home: string;
let here: Record<string, string>;
let there: Record<string, string>;
beforeAll(async () => {
  home = await makeFolder();
  here = { SJS_POLICY: join(home, 'policy.yaml') };
  [engine, keys] = await Promise.all([startSecondEngine({ imageStore: 'containerd' }), makeCosignKeys(1)]);
  there = { ...here, DOCKER_HOST: engine.host };
  const source = `${world.registry}/other-store/source:24.1.0`;
  await pushTinyImage(world.registry, 'other-store/source', '24.1.0');
  const words = ['base', 'import', source, `${world.registry}/other-store/base:24.1.0`];
  const signed = [...words, '--sign-key', keys.keys[0]?.keyFile ?? '', '--trust'];
  expect(await runSjs(home, signed, { env: here })).toMatchObject({ code: 0 });
}, 120_000);
afterAll(() => Promise.allSettled([engine?.stop(), keys?.remove()]));

interface Built {
  readonly seal: string;
  readonly tag: string;
  readonly inputs: string;
  readonly imageId: string;
}
async function build(place: string, folder: string, env: Record<string, string>): Promise<Built> {
  const { code, stdout } = await runSjs(place, ['build', folder, '--json'], { env });
  const built = JSON.parse(stdout) as Built & { error?: unknown };
  expect({ code, error: built.error }).toEqual({ code: 0 });
  images.add(built.tag);
  return built;
}
const makeSandbox = (name: string): Promise<string> =>
  makeFolder({
    'sandbox.yaml': sandboxYaml(
      name,
      `  base: { image: ${world.registry}/other-store/base, version: '^24.1' }\n  env: { GREETING: 'grüß "dich" $HOME' }\n`,
    ),
    'index.js': 'console.log("hello");\n',
    'I/ı.js': '1\n',
    'I/i.js': '2\n',
    'i-Ü/z.js': '3\n',
    'run.sh': '#!/bin/sh\n',
  });
const codeOf = ({ stdout }: { readonly stdout: string }): string =>
  (JSON.parse(stdout) as { error: { code: string } }).error.code;
const thereDocker = (...args: string[]): string => docker(['--host', engine.host, ...args]);

attack(
  'S08',
  async () => {
    const folder = await makeSandbox('stored');
    const first = await build(home, folder, here);
    // To verify looks at what the engine has, as a run does first.
    const verify = () => runSjs(home, ['verify', first.tag, '--json'], { env: there });
    expect(codeOf(await verify())).toBe('SEAL_IMAGE_MISSING');
    thereDocker(
      'build',
      '-q',
      '-t',
      first.tag,
      await makeFolder({ Dockerfile: 'FROM scratch\nLABEL a="1"\n' }),
    );
    expect(codeOf(await verify())).toBe('SEAL_MISMATCH');
    thereDocker('image', 'rm', first.tag);
    // No cache of a builder knows these times and modes, nor may they be in the image.
    await chmod(join(folder, 'index.js'), 0o600);
    await utimes(join(folder, 'index.js'), 1, 1);
    const { seal, tag, inputs } = first;
    expect(await build(await makeFolder(), folder, there)).toMatchObject({ seal, tag, inputs });
    expect(await verify()).toMatchObject({ code: 0 });
    // The second way into BuildKit takes a temporary file.
    const env = { ...there, TMPDIR: '/nonexistent' };
    const refused = await runSjs(await makeFolder(), ['build', folder, '--json'], { env });
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { code: 'STORE_FAILED', message: expect.stringContaining('/nonexistent') },
    });
    return 'SEAL_IMAGE_MISSING, SEAL_MISMATCH for another image under the tag; built there it has the same seal';
  },
  async () => {
    const folder = await makeSandbox('stored');
    const [one, other] = [await build(home, folder, here), await build(await makeFolder(), folder, there)];
    expect(other.seal).toBe(one.seal);
    const idOf = ['image', 'inspect', '--format', '{{.Id}}', one.tag];
    expect(thereDocker(...idOf)).not.toBe(docker(idOf));
    return 'by the engines’ ids the same image is another';
  },
);

/** The Node of the world's base, as a program of this machine. */
async function takeNode(): Promise<string> {
  const node = join(await makeFolder(), 'node');
  const container = docker(['create', world.reference]);
  try {
    const copy = (path: string): string => `docker cp -L ${container}:${path} ${node} 2>/dev/null`;
    await execute('sh', ['-c', `${copy('/usr/local/bin/node')} || ${copy('/usr/bin/node')}`]);
  } finally {
    docker(['rm', '-f', container]);
  }
  expect((await execute(node, ['--version'])).stdout).toMatch(/^v24\./);
  return node;
}
const buildPlainly = (folder: string): string => {
  const image = docker(['build', '-q', '--no-cache', folder]);
  images.add(image);
  return docker(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', image]);
};
attack(
  'D18',
  async () => {
    const first = await makeSandbox('again');
    const second = join(await makeFolder(), 'a path', 'ÄÖ');
    await cp(first, second, { recursive: true });
    await utimes(join(second, 'index.js'), 1, 1);
    const plain = await build(await makeFolder(), first, { ...here, LC_ALL: 'C', TZ: 'UTC' });
    const place = await makeFolder();
    const env = {
      ...{ PATH: process.env['PATH'] ?? '', HOME: place, SJS_HOME: join(place, 'sjs') },
      ...{ LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', TZ: 'Pacific/Kiritimati' },
      // That engine has built nothing yet.
      ...{ ...there, ...(await shiftedClock(DAY_MS)) },
    };
    const words = [resolve('dist/cli/main.cjs'), 'build', second, '--json'];
    const command = 'umask 077; exec "$0" "$@"';
    const { stdout } = await execute('sh', ['-c', command, await takeNode(), ...words], { env, cwd: place });
    const strange = JSON.parse(stdout) as Built;
    expect([strange.seal, strange.tag, strange.inputs]).toEqual([plain.seal, plain.tag, plain.inputs]);
    expect(await readFile(join(second, 'sandbox.lock'), 'utf8')).toBe(
      await readFile(join(first, 'sandbox.lock'), 'utf8'),
    );
    return 'the same seal and lock: by Node 20 and 24, two engines, at another path, in another locale, under another umask';
  },
  async () => {
    const folder = await makeFolder({ Dockerfile: 'FROM scratch\nCOPY index.js /\n', 'index.js': '1' });
    const today = buildPlainly(folder);
    await utimes(join(folder, 'index.js'), 1, 1);
    expect(buildPlainly(folder)).not.toBe(today);
    return 'docker build of the same source with other times makes another layer';
  },
);
