import { once } from 'node:events';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import { docker, removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

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
  const policy = join(home, 'networked.yaml');
  const text = await readFile(world.policyFile, 'utf8');
  await writeFile(
    policy,
    text.replace(
      'kind: Policy\n',
      `kind: Policy\nextends: networked\nallow: { egress: ["*.test:*=${HOST}"], ports: ["127.0.0.1:*"] }\n`,
    ),
    { mode: 0o600 },
  );
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
