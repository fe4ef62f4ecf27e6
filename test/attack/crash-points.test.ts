import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { createDockerClient, type DockerClient } from '../../src/adapters/docker/client.js';
import type { RunRecord } from '../../src/model/record.js';
import { attack } from '../support/attack.js';
import { removeImages } from '../support/docker.js';
import { proxyEngine } from '../support/engine-proxy.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const images = removeImages();
/** This machine, as a gateway finds it. */
const HOST = '172.17.0.1';
const AT_ONCE = 2;

/** Every request by which a run with a network, a gateway and /out changes what the engine has, in their order. */
const POINTS = {
  'network create': /^POST \/networks\/create/,
  'volume create': /^POST \/volumes\/create/,
  'gateway create': /^POST \/containers\/create\?name=sjs-\w+-gateway$/,
  'collector create': /^POST \/containers\/create\?name=sjs-\w+-out$/,
  'sandbox create': /^POST \/containers\/create\?name=sjs-\w+$/,
  'gateway attach': /^POST \/containers\/sjs-\w+-gateway\/attach/,
  'gateway connect': /^POST \/networks\/sjs-\w+-net\/connect/,
  'gateway start': /^POST \/containers\/sjs-\w+-gateway\/start/,
  'collector start': /^POST \/containers\/sjs-\w+-out\/start/,
  'sandbox attach': /^POST \/containers\/sjs-\w+\/attach/,
  'sandbox start': /^POST \/containers\/sjs-\w+\/start/,
  'sandbox wait': /^POST \/containers\/sjs-\w+\/wait/,
  'sandbox remove': /^DELETE \/containers\/sjs-\w+\?/,
  'gateway remove': /^DELETE \/containers\/sjs-\w+-gateway\?/,
  'collector remove': /^DELETE \/containers\/sjs-\w+-out\?/,
  'volume remove': /^DELETE \/volumes\/sjs-\w+-out/,
  'network remove': /^DELETE \/networks\/sjs-\w+-net/,
} as const;
type Point = keyof typeof POINTS;
const points = Object.keys(POINTS) as Point[];
/** From here on the program has run, or will. */
const STARTED = points.indexOf('sandbox start');
/** From here on it has ended, and that is recorded. */
const RECORDED = points.indexOf('sandbox remove');

let client: DockerClient;
let policy: string;
let server: Server;
let folder: string;

beforeAll(async () => {
  client = await createDockerClient({ env: process.env, home: homedir() });
  server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  policy = await networkedPolicy(`{ egress: ["*.test:*=${HOST}"] }`);
  const egress = `["echo.test:${port}=${HOST}"]`;
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml(
      'crash-points',
      `  network: { mode: isolated, egress: ${egress} }\n  filesystem: { out: 64Ki }\n  resources: { timeout: 20s }\n`,
    ),
    'index.js': `require('net').connect(${port}, 'echo.test').on('data', (data) => { console.log(String(data)); setTimeout(() => process.exit(), 300) }).on('error', ({ code }) => console.log(code)).write('hello\\n');\n`,
  });
}, 60_000);
afterAll(() => void server.close());

const lines = (text: string): string[] => text.split('\n').filter(Boolean);

/** What the engine has of an SJS_HOME. */
async function remains(home: string): Promise<string[]> {
  const filter = ['--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`];
  const found = await Promise.all([
    execute('docker', ['ps', '-a', '--format', '{{.Names}}', ...filter]),
    execute('docker', ['volume', 'ls', '-q', ...filter]),
    execute('docker', ['network', 'ls', '--format', '{{.Name}}', ...filter]),
  ]);
  return found.flatMap(({ stdout }) => lines(stdout));
}

/** An SJS_HOME in which the sandbox is sealed, and the engine proven. */
async function makeHome(): Promise<{ readonly home: string; readonly tag: string }> {
  const home = await makeFolder();
  const env = { SJS_POLICY: policy };
  const built = await runSjs(home, ['build', folder, '--json'], { env });
  expect(built).toMatchObject({ code: 0 });
  const { tag } = JSON.parse(built.stdout) as { tag: string };
  const listed = await runSjs(home, ['images', '--json'], { env });
  for (const image of JSON.parse(listed.stdout) as { tag: string }[]) images.add(image.tag);
  expect(await runSjs(home, ['run', tag], { env })).toEqual({ code: 0, stdout: 'hello\n\n', stderr: '' });
  return { home, tag };
}

/** Kills sjs when the engine has done that and has not said so; says what was left then, and after one more command. */
async function killAt(point: Point, home: string, tag: string) {
  const proxy = await proxyEngine(client, POINTS[point], 'hold the answer', point === 'sandbox wait');
  try {
    const child = spawn(process.execPath, [resolve('dist/cli/main.cjs'), 'run', tag], {
      env: {
        ...{ PATH: process.env['PATH'] ?? '', HOME: home, SJS_HOME: join(home, 'sjs') },
        ...{ SJS_POLICY: policy, DOCKER_HOST: proxy.host },
      },
      cwd: home,
      stdio: 'ignore',
    });
    const exited = once(child, 'exit');
    await Promise.race([proxy.met, exited.then(() => Promise.reject(new Error(`${point} was not met`)))]);
    child.kill('SIGKILL');
    await exited;
    const before = await remains(home);
    // `runs` looks only for what the records know of.
    expect(await runSjs(home, ['prune'])).toMatchObject({ code: 0 });
    const after = await remains(home);
    const { stdout } = await runSjs(home, ['runs', '--json']);
    const records = JSON.parse(stdout) as RunRecord[];
    return { point, before, after, records };
  } finally {
    proxy.close();
  }
}

const found: Awaited<ReturnType<typeof killAt>>[] = [];

attack(
  'X02',
  async () => {
    const left = [...points];
    const work = async (): Promise<void> => {
      const { home, tag } = await makeHome();
      const known = new Set<string>();
      for (const { id } of JSON.parse((await runSjs(home, ['runs', '--json'])).stdout) as RunRecord[])
        known.add(id);
      for (let point = left.shift(); point; point = left.shift()) {
        const seen = await killAt(point, home, tag);
        const records = seen.records.filter(({ id }) => !known.has(id));
        records.forEach(({ id }) => known.add(id));
        found.push({ ...seen, records });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    expect(found.filter(({ after }) => after.length > 0).map(({ point, after }) => [point, after])).toEqual(
      [],
    );
    for (const { point, records } of found) {
      const at = points.indexOf(point);
      const [record] = records;
      expect({ point, count: records.length }).toEqual({ point, count: at >= STARTED ? 1 : records.length });
      if (!record) continue;
      const { state, error, network } = record;
      if (at < STARTED) {
        // Nothing ran, nobody connected, and the gateway may not have been there to say so.
        expect({ point, state, error: error?.code }).toEqual({
          point,
          state: 'failed',
          error: 'CONTAINER_LOST',
        });
        expect(network.connections).toEqual([]);
        continue;
      }
      // Without its gateway it may have come too late to connect; then its error is what it printed.
      expect({ point, state, error }).toEqual({ point, state: 'succeeded', error: null });
      const allowed = { name: 'echo.test', direction: 'out', verdict: 'allowed' };
      if (at >= RECORDED) expect(network).toMatchObject({ connections: [allowed], omittedConnections: 0 });
      else expect(network).toMatchObject({ omittedConnections: 0 });
    }
    return `killed at ${found.length} points: the next command leaves nothing, and every record says what happened`;
  },
  () => {
    // Network and volume are removed last, at the same time: then nothing may be left.
    const bare = found.filter(({ before }) => before.length === 0).map(({ point }) => point);
    expect(bare.filter((point) => point !== 'network remove' && point !== 'volume remove')).toEqual([]);
    const most = Math.max(...found.map(({ before }) => before.length));
    return `until then something is left at ${found.length - bare.length} of them, ${most} things at most`;
  },
  400_000,
);
