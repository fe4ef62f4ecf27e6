import { once } from 'node:events';
import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import { docker, removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const images = removeImages();
/** Where the gateway finds this machine. */
const HOST = '172.17.0.1';
const SOURCE = `const [url] = process.argv.slice(2);
fetch(url).then(async (answer) => console.log(answer.status, await answer.text()), ({ cause }) => console.log(cause.code));
`;

const server = createServer((message, response) => response.end(`from ${message.headers.host}`));
let home: string;
let port: number;
let env: Record<string, string>;
beforeAll(async () => {
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  home = await makeFolder();
  const policy = await networkedPolicy(`{ egress: ["*.test:*=${HOST}"], ports: ["127.0.0.1:*"] }`);
  env = { SJS_POLICY: policy };
});
afterAll(() => void server.close());

async function build(name: string, network: string): Promise<{ code: number; tag: string; stderr: string }> {
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml(name, `  network: ${network}\n  resources: { timeout: 30s }\n`),
    'index.js': SOURCE,
  });
  const { code, stdout, stderr } = await runSjs(home, ['build', folder, '--json'], { env });
  const { tag = '' } = JSON.parse(stdout || '{}') as { tag?: string };
  if (tag !== '') images.add(tag);
  const listed = await runSjs(home, ['images', '--json'], { env });
  for (const image of JSON.parse(listed.stdout || '[]') as { tag: string }[]) images.add(image.tag);
  return { code, tag, stderr: stdout + stderr };
}

test('declared egress goes through a sealed gateway; the record and the last line say what happened', async () => {
  expect((await runSjs(home, ['doctor'], { env })).stdout).toMatch(
    /network: isolated: not tried on this engine yet/,
  );
  const built = await build('net-out', `{ mode: isolated, egress: ["api.test:${port}=${HOST}"] }`);
  expect(built).toMatchObject({ code: 0 });
  const allowed = await runSjs(home, ['run', built.tag, '--', `http://api.test:${port}/`], { env });
  expect(allowed).toEqual({ code: 0, stdout: `200 from api.test:${port}\n`, stderr: '' });

  const blocked = await runSjs(home, ['run', built.tag, '--', 'http://evil.test/'], { env });
  expect(blocked).toEqual({
    code: 0,
    stdout: 'ENOTFOUND\n',
    stderr: 'sjs: blocked, as not declared: network: { egress: ["evil.test:PORT"] } would have allowed it\n',
  });

  expect((await runSjs(home, ['doctor'], { env })).stdout).toMatch(/network: isolated: a probe has shown/);
  const { stdout } = await runSjs(home, ['runs', '--json'], { env });
  const [second, first] = JSON.parse(stdout) as RunRecord[];
  expect(first!.network).toEqual({
    mode: 'isolated',
    gateway: expect.stringMatching(/^sha256:/),
    ports: [],
    connections: [
      {
        at: expect.any(String),
        direction: 'out',
        name: 'api.test',
        address: HOST,
        port,
        sentBytes: expect.any(Number),
        receivedBytes: expect.any(Number),
        verdict: 'allowed',
        reason: null,
      },
    ],
    omittedConnections: 0,
  });
  expect(second!.network.connections).toMatchObject([{ name: 'evil.test', verdict: 'blocked' }]);
  expect(docker(['network', 'ls', '-q', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`])).toBe('');

  // A run builds nothing: without its gateway it is refused.
  const folder = join(home, 'sjs/images');
  for (const name of await readdir(folder)) {
    if ((await readFile(join(folder, name), 'utf8')).includes('sjs/sjs-gateway:'))
      await rm(join(folder, name));
  }
  const refused = await runSjs(home, ['run', built.tag, '--json', '--', 'http://api.test/'], { env });
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'GATEWAY_MISSING' } });
  const plain = await build('net-none', '{ mode: isolated }');
  expect(await runSjs(home, ['run', plain.tag, '--', 'http://api.test/'], { env })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^(EAI_AGAIN|ENOTFOUND)\n$/),
  });
});

test('what the policy does not allow is refused by build, and by a run under a stricter policy', async () => {
  const strict = { SJS_POLICY: world.policyFile };
  const refused = await build('net-metadata', '{ mode: isolated, egress: ["meta.test:80=169.254.169.254"] }');
  expect(refused.code).toBe(4);
  expect(refused.stderr).toMatch(/169\.254\.169\.254/);
  const { tag } = await build('net-plain', '{ mode: isolated }');
  const run = await runSjs(home, ['run', tag, '--', 'http://a.test/'], { env: strict });
  expect(run).toMatchObject({ code: 126, stderr: expect.stringMatching(/isolated is not allowed/) });
});

/** Seals of code that was run as it is are known to the index alone. */
async function noteImages(): Promise<void> {
  const listed = await runSjs(home, ['images', '--json'], { env });
  for (const image of JSON.parse(listed.stdout || '[]') as { tag: string }[]) images.add(image.tag);
}

test('the example that asks an API gets its answer, every byte of the argument with it', async () => {
  const asked: string[] = [];
  const api = createServer((message, response) => {
    asked.push(`${message.headers.host} ${message.url}`);
    response.setHeader('content-type', 'application/json').end('{"age":42}');
  });
  api.listen(0, '0.0.0.0');
  await once(api, 'listening');
  try {
    const at = (api.address() as AddressInfo).port;
    const folder = await makeFolder();
    const code = await readFile('examples/derive-age.js', 'utf8');
    await writeFile(join(folder, 'derive-age.js'), code.replace("test:8080'", `test:${at}'`));
    const egress = `api.example.test:${at}=${HOST}`;
    const words = ['run', '-q', join(folder, 'derive-age.js'), '--egress', egress];
    const {
      code: status,
      stdout,
      stderr,
    } = await runSjs(home, [...words, '--', '{"name":"to\\"mas"}'], { env });
    await noteImages();
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '42\n', stderr: '' });
    expect(asked).toEqual([`api.example.test:${at} /?name=to%22mas`]);
  } finally {
    api.close();
  }
}, 120_000);

test('the example that is a server is reached through its published port, once', async () => {
  const folder = await makeFolder();
  await cp('examples/temporary-link', folder, {
    recursive: true,
    filter: (path) => !/node_modules|sandbox\.lock/.test(path),
  });
  const data = { name: 'ElonMusk', dateOfBirth: '110001' };
  const run = ['run', folder, '--port', '0:3005', '--env', 'PORT=3005', '-d'];
  const started = await runSjs(home, [...run, '--', JSON.stringify(data)], { env });
  await noteImages();
  expect(started).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^sjs: 127\.0\.0\.1:\d+ leads to port 3005 of the sandbox$/m),
  });
  const id = started.stdout.trim();
  const look = async (): Promise<RunRecord> =>
    JSON.parse((await runSjs(home, ['inspect', id], { env })).stdout) as RunRecord;
  const { network } = await look();
  const [published] = network.mode === 'isolated' ? network.ports : [];
  expect(published).toMatchObject({ hostAddress: '127.0.0.1', containerPort: 3005 });
  const answer = await fetch(`http://127.0.0.1:${published?.hostPort}/mydata`);
  expect(await answer.json()).toEqual(data);
  expect((await runSjs(home, ['wait', id], { env })).stdout).toBe('0\n');
  expect(await look()).toMatchObject({
    state: 'succeeded',
    network: { connections: [{ direction: 'in', port: 3005, verdict: 'allowed' }] },
  });
}, 180_000);
