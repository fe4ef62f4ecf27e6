import { once } from 'node:events';
import { cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sandboxName } from '../../src/adapters/docker/owner-labels.js';
import type { RunRecord } from '../../src/model/record.js';
import { docker, removeImages } from '../support/docker.js';
import { readPng } from '../support/png.js';
import { until } from '../support/until.js';
import { provideBase, type WorldBase } from '../support/world-base.js';
import { cleanFolders, makeFolder, runSjs, world, type ProcessResult } from '../support/world.js';

cleanFolders();
const images = removeImages();
/** Where the gateway finds this machine. */
const HOST = '172.17.0.1';
const RED = [0xcc, 0, 0];
const WHITE = [255, 255, 255];
const MIB = 1024 ** 2;

let base: WorldBase;
let home: string;
let env: Record<string, string>;
let port: number;
let tag: string;
/** What this machine was asked for, by whoever it was. */
const seen: string[] = [];
const server = createServer(({ url }, response) => {
  seen.push(url ?? '');
  response.end('from this machine');
});

beforeAll(async () => {
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  base = await provideBase('chromium');
  home = await makeFolder();
  const text = await readFile(world.policyFile, 'utf8');
  const file = join(home, 'browser.yaml');
  const lines = `kind: Policy\nextends: browser\nallow: { egress: ["*.test:${port}=${HOST}"] }\n`;
  const chromium = `defaults:\n  bases: { chromium: { image: "${base.repository}", version: "${base.version}" } }\n`;
  const own = text.replace('kind: Policy\n', lines).replace('defaults:\n', chromium);
  await writeFile(file, own, { mode: 0o600 });
  env = { SJS_POLICY: file };
  tag = await build('jobs');
}, 600_000);

afterAll(async () => {
  server.close();
  // Ends nothing and removes nothing by itself: every run above did.
  const labels = ['--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`];
  const left = [
    docker(['ps', '-aq', ...labels]),
    docker(['volume', 'ls', '-q', ...labels]),
    docker(['network', 'ls', '-q', ...labels]),
  ];
  const { stdout } = await runSjs(home, ['images', '--json'], { env });
  for (const image of JSON.parse(stdout || '[]') as { tag: string }[]) images.add(image.tag);
  expect(left.join('')).toBe('');
}, 60_000);

/** Seals the jobs of test/fixtures/browser over the base. */
async function build(name: string, more = ''): Promise<string> {
  const folder = join(await makeFolder(), name);
  await cp('test/fixtures/browser', folder, { recursive: true });
  const yaml = `apiVersion: sjs/v1
kind: Sandbox
metadata: { name: ${name} }
spec:
  language: node
  base: { image: "${base.repository}", version: "${base.version}" }
  source: .
  dependencies: {}
  entrypoint: index.js
  permissions: { childProcess: true }
  filesystem: { tmp: 64Mi, out: 16Mi }
  resources: { cpu: 2, memory: 512Mi, pids: 256, timeout: 90s }
${more}`;
  await writeFile(join(folder, 'sandbox.yaml'), yaml);
  const { code, stdout, stderr } = await runSjs(home, ['build', '--json', folder], { env });
  if (code !== 0) throw new Error(`${code} ${stdout} ${stderr}`);
  const made = (JSON.parse(stdout) as { tag: string }).tag;
  images.add(made);
  return made;
}

interface Job extends ProcessResult {
  readonly record: RunRecord;
  readonly out: string;
  /** What it brought out, by name. */
  readonly files: Readonly<Record<string, Buffer>>;
}

async function run(job: readonly string[], flags: readonly string[] = [], of = tag): Promise<Job> {
  const out = join(await makeFolder(), 'out');
  const result = await runSjs(home, ['run', '--out', out, ...flags, of, '--', ...job], { env });
  const { stdout } = await runSjs(home, ['runs', '--json'], { env });
  const [newest] = JSON.parse(stdout) as { id: string }[];
  const inspected = await runSjs(home, ['inspect', newest!.id], { env });
  const names = await readdir(out).catch(() => []);
  const read = await Promise.all(names.map(async (name) => [name, await readFile(join(out, name))] as const));
  return {
    ...result,
    record: JSON.parse(inspected.stdout) as RunRecord,
    out,
    files: Object.fromEntries(read),
  };
}

describe('puppeteer-core', () => {
  let job: Job;
  beforeAll(async () => {
    job = await run(['pictures']);
  });

  test('pictures come out, in the size that was asked for, and the click is in the second', () => {
    expect(job).toMatchObject({ code: 0, stderr: '' });
    const [before, after] = ['before.png', 'after.png'].map((name) => readPng(job.files[name]!));
    expect([before!.width, before!.height, after!.width, after!.height]).toEqual([640, 400, 640, 400]);
    expect([before!.at(320, 120), after!.at(320, 120)]).toEqual([WHITE, RED]);
  });

  test('a page comes out as a PDF', () => {
    const pdf = job.files['page.pdf']!.toString('latin1');
    expect(pdf.slice(0, 5)).toBe('%PDF-');
    expect(pdf.trimEnd().slice(-5)).toBe('%%EOF');
    expect(pdf.match(/\/Type \/Page\b(?!s)/g)).toHaveLength(1);
    // A4, in points.
    expect(pdf).toMatch(/\/MediaBox \[0 0 59[45]\S* 84[12]\S*\]/);
  });

  test('it stays well within what it may take', () => {
    expect(job.record).toMatchObject({ state: 'succeeded', oomKilled: false });
    expect(job.record.limits).toMatchObject({ memoryBytes: 512 * MIB, pids: 256 });
    expect(job.record.usage!.peakMemoryBytes).toBeGreaterThan(50 * MIB);
    expect(job.record.usage!.peakMemoryBytes).toBeLessThan(400 * MIB);
  });

  test('the same pictures come at a replay; a PDF says when it was made', async () => {
    const { stdout } = await runSjs(home, ['replay', '--json', job.record.id], { env });
    const { differences } = JSON.parse(stdout) as { differences: { field: string }[] };
    expect(differences.map(({ field }) => field).filter((field) => field !== 'artifacts/page.pdf')).toEqual(
      [],
    );
    const pictures = job.record.artifacts.map(({ path }) => path);
    expect(pictures).toEqual(expect.arrayContaining(['before.png', 'after.png']));
  });

  test('with too few threads it fails, and nobody else does', async () => {
    const few = await run(['pictures'], ['--pids', '40']);
    expect(few.code).not.toBe(0);
    expect(few.record.state).toBe('failed');
    expect(few.files).toEqual({});
  });
});

test('the example brings the same picture out at each run', async () => {
  const folder = join(await makeFolder(), 'screenshot');
  await cp('examples/screenshot', folder, {
    recursive: true,
    filter: (path) => !/node_modules|sandbox\.lock/.test(path),
  });
  const { stdout, code } = await runSjs(home, ['build', '--json', folder], { env });
  expect(code).toBe(0);
  const made = (JSON.parse(stdout) as { tag: string }).tag;
  images.add(made);
  const { files } = await run([], [], made);
  const picture = readPng(files['page.png']!);
  expect([picture.width, picture.height]).toEqual([800, 500]);
  // The frame of the answer, which is there since the click.
  expect(picture.at(50, 320)).toEqual([0x2e, 0x9e, 0x5b]);
  expect(await runSjs(home, ['replay', 'screenshot'], { env })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^reproduced/),
  });
});

test('without such a base, a declared browser is refused with what to do', async () => {
  const { code, stderr } = await runSjs(home, ['build', 'examples/screenshot'], { cwd: process.cwd() });
  expect(code).toBe(2);
  expect(stderr).toMatch(/names no base for Node with Chromium, and no policy has defaults\.bases\.chromium/);
  expect(stderr).toMatch(/sjs base import <ref> <registry>\/chromium/);
});

describe('playwright-core', () => {
  test('a picture, a HAR and the frames of a screencast come out', async () => {
    const { code, stderr, stdout, files } = await run(['record']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readPng(files['page.png']!).at(320, 120)).toEqual(RED);

    interface Entry {
      request: { method: string; url: string };
      response: { status: number; content: { text: string } };
    }
    const har = JSON.parse(files['page.har']!.toString()) as { log: { entries: Entry[] } };
    expect(har.log.entries).toMatchObject([
      { request: { method: 'GET', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/$/) } },
    ]);
    const [{ response }] = har.log.entries as [Entry];
    expect(response.status).toBe(200);
    expect(response.content.text).toContain('<button');

    const { frames } = JSON.parse(stdout) as { frames: number };
    expect(frames).toBeGreaterThanOrEqual(2);
    const pictures = Array.from({ length: frames }, (_, at) => readPng(files[`frame-${at + 1}.png`]!));
    for (const { width, height } of pictures) expect([width, height]).toEqual([640, 400]);
    expect([pictures.at(0)!.at(320, 120), pictures.at(-1)!.at(320, 120)]).toEqual([WHITE, RED]);
  });
});

describe('what a browser cannot do more than others', () => {
  test('no capability, no privilege, no device, and so says the kernel of each of its processes', async () => {
    const started = await runSjs(home, ['run', '-d', tag, '--', 'hold'], { env });
    const id = started.stdout.trim();
    try {
      await until('a page is open', async () =>
        (await runSjs(home, ['logs', id], { env })).stdout.includes('open'),
      );
      const name = sandboxName(id);
      const [{ HostConfig, Config }] = JSON.parse(docker(['inspect', name])) as [
        { HostConfig: object; Config: object },
      ];
      expect(Config).toMatchObject({ User: '65532:65532' });
      expect(HostConfig).toMatchObject({
        Privileged: false,
        CapAdd: [],
        CapDrop: ['ALL'],
        Devices: [],
        Binds: [],
        ReadonlyRootfs: true,
        IpcMode: 'none',
        PidMode: '',
        UsernsMode: '',
        NetworkMode: 'none',
        PidsLimit: 256,
        Memory: 512 * MIB,
      });
      expect(JSON.stringify(HostConfig)).toContain('no-new-privileges');
      const pids = docker(['top', name, '-o', 'pid']).split('\n').slice(1);
      const browsers = pids
        .map((pid) => readStatus(pid.trim()))
        .filter(({ Name }) => Name!.startsWith('chromium'));
      // The browser, its graphics, its network and a page at the least.
      expect(browsers.length).toBeGreaterThanOrEqual(4);
      for (const status of browsers) {
        expect(status).toMatchObject({
          CapInh: '0000000000000000',
          CapPrm: '0000000000000000',
          CapEff: '0000000000000000',
          CapBnd: '0000000000000000',
          CapAmb: '0000000000000000',
          NoNewPrivs: '1',
          Seccomp: '2',
        });
        expect(status['Uid']).toMatch(/^65532\b/);
      }
    } finally {
      await runSjs(home, ['kill', id], { env });
      await runSjs(home, ['wait', id], { env });
    }
    // The same look at a process that nobody confines.
    expect(readStatus('self')).toMatchObject({ NoNewPrivs: '0', Seccomp: '0' });
  });

  test('without a network nothing outside is reached; with a declared one, that alone, through the gateway', async () => {
    const outside = `http://page.test:${port}/declared`;
    const others = [`http://${HOST}:${port}/host`, `http://other.test:${port}/`, 'http://169.254.169.254/'];
    const none = await run(['visit', outside, ...others]);
    expect(none.code).toBe(0);
    for (const answer of JSON.parse(none.stdout) as string[]) expect(answer).toMatch(/^net::ERR_/);
    expect(seen).toEqual([]);

    const network = `  network: { mode: isolated, egress: ["page.test:${port}=${HOST}"] }\n`;
    const open = await run(['visit', outside, ...others], [], await build('jobs-online', network));
    const [first, ...rest] = JSON.parse(open.stdout) as string[];
    expect(first).toBe('from this machine');
    for (const answer of rest) expect(answer).toMatch(/^net::ERR_/);
    expect(seen.filter((url) => url !== '/favicon.ico')).toEqual(['/declared']);
    const { connections } = open.record.network;
    expect(new Set(connections.map(({ name, verdict }) => `${name} ${verdict}`))).toEqual(
      new Set(['page.test allowed', 'other.test blocked']),
    );
  });

  test('a page that eats memory ends by its limit, whichever that is, and nothing else does', async () => {
    const eaten: number[] = [];
    for (const limit of [256, 512]) {
      const { code, stdout, record } = await run(['eat'], ['--memory', `${limit}Mi`]);
      // The kernel takes a process of the sandbox: the page, of which its program hears, or the program itself.
      expect(record.oomKilled).toBe(true);
      expect([0, 137]).toContain(code);
      if (code === 0) expect(stdout).toMatch(/^"Page crashed!"$/m);
      else expect(record.state).toBe('out-of-memory');
      eaten.push(Math.max(...stdout.split('\n').map(Number).filter(Number.isFinite)));
    }
    // What it was given, it took: with twice the limit more than the smaller one would hold.
    expect(eaten[0]).toBeLessThan(256);
    expect(eaten[1]).toBeGreaterThan(256);
    expect((await run(['visit'])).code).toBe(0);
  });
});

/** What the kernel says of a process of this machine. */
function readStatus(pid: string): Readonly<Record<string, string>> {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Object.fromEntries(text.split('\n').map((line) => line.split(/:\s*/, 2) as [string, string]));
}
