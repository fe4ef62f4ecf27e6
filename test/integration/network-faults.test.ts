// A run with a network loses its sjs, its gateway or its engine: the next command leaves nothing, and the record says what
// happened, with the connections that the gateway told.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { gatewayName, networkName, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import type { RunRecord } from '../../src/index.js';
import { docker, removeImages } from '../support/docker.js';
import { startSecondEngine, type SecondEngine } from '../support/second-engine.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const images = removeImages();
/** Asks for a name that is not declared, sends to one that is, and waits. */
const talk = (port: number): string => `const net = require('net');
require('dns').lookup('evil.test', () => {
  net.connect(${port}, 'echo.test').on('error', () => undefined).on('data', () => console.log('up')).write('hello\\n');
});
setTimeout(() => process.exit(3), Number(process.argv[2]));
`;
const wait = `console.log('up'); setTimeout(() => process.exit(3), Number(process.argv[2]));
`;
const BLOCKED = expect.objectContaining({ name: 'evil.test', verdict: 'blocked', reason: 'not declared' });
const ALLOWED = expect.objectContaining({
  name: 'echo.test',
  verdict: 'allowed',
  sentBytes: 6,
  receivedBytes: 6,
});

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => void server.close());

/** An SJS_HOME and a sandbox sealed in it, on this machine's engine or another. */
interface Place {
  readonly home: string;
  readonly tag: string;
  readonly env: Record<string, string>;
  readonly docker: (...words: string[]) => string;
}

async function openPlace(program: string, host?: string): Promise<Place> {
  const ask = (...words: string[]): string =>
    docker([...(host === undefined ? [] : ['--host', host]), ...words]);
  const address = ask('network', 'inspect', 'bridge', '--format', '{{(index .IPAM.Config 0).Gateway}}');
  const policy = await networkedPolicy(`{ egress: ["*.test:*=${address}"] }`);
  const env = { SJS_POLICY: policy, ...(host !== undefined && { DOCKER_HOST: host }) };
  const home = await makeFolder();
  const network = `{ mode: isolated, egress: ["echo.test:${port}=${address}"] }`;
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('network-faults', `  network: ${network}\n  resources: { timeout: 20s }\n`),
    'index.js': program,
  });
  const { code, stdout, stderr } = await runSjs(home, ['build', folder, '--json'], { env });
  expect({ code, error: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, error: '' });
  const listed = await runSjs(home, ['images', '--json'], { env });
  if (host === undefined)
    for (const image of JSON.parse(listed.stdout) as { tag: string }[]) images.add(image.tag);
  return { home, tag: (JSON.parse(stdout) as { tag: string }).tag, env, docker: ask };
}

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly runId: string;
  /** The kernel's name of the run's network. */
  readonly bridge: string;
}

/** Starts a run that lasts for some time; resolves when its program has printed. */
async function startRun({ home, tag, env, docker: ask }: Place, lastsMs: number): Promise<Started> {
  const words = [resolve('dist/cli/main.cjs'), 'run', tag, '--', String(lastsMs)];
  const child = spawn(process.execPath, words, {
    env: { PATH: process.env['PATH'], HOME: home, SJS_HOME: join(home, 'sjs'), ...env },
    cwd: home,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const ended = exited.then(() => Promise.reject(new Error('the run ended too early')));
  await Promise.race([once(child.stdout, 'data'), ended]);
  const [runId = ''] = await readdir(join(home, 'sjs/open'));
  const id = ask('network', 'inspect', networkName(runId), '--format', '{{.Id}}');
  return { child, exited, runId, bridge: `br-${id.slice(0, 12)}` };
}

/** What engine and kernel still have of a run, after one more command. */
async function remains({ home, env, docker: ask }: Place, { runId, bridge }: Started): Promise<string[]> {
  expect(await runSjs(home, ['prune'], { env })).toMatchObject({ code: 0 });
  const name = `name=${sandboxName(runId)}`;
  const devices = await readdir('/sys/class/net');
  return [
    ask('ps', '-a', '--filter', name, '--format', '{{.Names}}'),
    ask('network', 'ls', '--filter', name, '--format', '{{.Name}}'),
    ...devices.filter((device) => device === bridge),
  ].filter((found) => found !== '');
}

async function recordOf({ home, env }: Place, { runId }: Started): Promise<RunRecord> {
  const { stdout } = await runSjs(home, ['inspect', runId], { env });
  return JSON.parse(stdout) as RunRecord;
}

const told = (connections: unknown[], omittedConnections: number | null) =>
  expect.objectContaining({ connections, omittedConnections }) as unknown;

describe('a run with a gateway', () => {
  let place: Place;
  beforeAll(async () => (place = await openPlace(talk(port))), 120_000);

  test('whose sjs is killed: its program goes on alone, and its record has what the gateway told', async () => {
    const run = await startRun(place, 4000);
    run.child.kill('SIGKILL');
    await run.exited;
    expect(await remains(place, run)).toEqual([]);
    expect(await recordOf(place, run)).toMatchObject({
      state: 'failed',
      exitCode: 3,
      error: null,
      stdout: { bytes: 3 },
      network: told([BLOCKED, ALLOWED], 0),
    });
  });

  test('whose gateway is killed, and then its sjs: what was told is kept, and that there may be more is said', async () => {
    const run = await startRun(place, 4000);
    run.child.kill('SIGSTOP');
    place.docker('kill', gatewayName(run.runId));
    run.child.kill('SIGKILL');
    await run.exited;
    expect(await remains(place, run)).toEqual([]);
    expect(await recordOf(place, run)).toMatchObject({
      state: 'failed',
      exitCode: 3,
      network: told([BLOCKED], null),
    });
  });

  test('whose gateway is killed while sjs looks on: it is ended, and the record says why', async () => {
    const run = await startRun(place, 15_000);
    place.docker('kill', gatewayName(run.runId));
    expect(await run.exited).toEqual([125, null]);
    expect(await recordOf(place, run)).toMatchObject({
      state: 'failed',
      exitCode: null,
      error: { code: 'CONTAINER_LOST', message: 'the gateway of the run ended while the program ran' },
      stdout: { bytes: 3 },
      network: told([BLOCKED], null),
    });
    expect(await remains(place, run)).toEqual([]);
  });

  test('whose network somebody takes away under it: it ends by itself, and nothing is left', async () => {
    const run = await startRun(place, 3000);
    for (const name of [gatewayName, sandboxName])
      place.docker('network', 'disconnect', '--force', networkName(run.runId), name(run.runId));
    place.docker('network', 'rm', networkName(run.runId));
    expect(await run.exited).toEqual([3, null]);
    expect(await recordOf(place, run)).toMatchObject({ state: 'failed', exitCode: 3, error: null });
    expect(await remains(place, run)).toEqual([]);
  });
});

describe('an engine that is ended in the middle of a run with a gateway, and started again', () => {
  let engine: SecondEngine;
  let place: Place;
  beforeAll(async () => {
    engine = await startSecondEngine({ imageStore: 'overlay2' });
    // It filters nothing, and what the machine's own engine filters lets nobody pass on a network of another.
    place = await openPlace(wait, engine.host);
  }, 180_000);
  afterAll(() => engine?.stop());

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'by %s: the program was ended with it, and nothing is left',
    async (signal) => {
      const run = await startRun(place, 15_000);
      await engine.restart(signal);
      const [code] = (await run.exited) as [number];
      expect(await remains(place, run)).toEqual([]);
      const record = await recordOf(place, run);
      // An engine that stops in good order tells of the end before it can be asked who brought it.
      const state = signal === 'SIGTERM' ? expect.stringMatching(/^(failed|killed)$/) : 'killed';
      expect(record).toMatchObject({ state, exitCode: 137, error: null, network: told([], null) });
      expect(code).toBe(137);
    },
    120_000,
  );

  test('by SIGKILL together with its sjs: the same by the next command', async () => {
    const run = await startRun(place, 15_000);
    run.child.kill('SIGKILL');
    await engine.restart('SIGKILL');
    await run.exited;
    await until('nothing is left', async () => (await remains(place, run)).length === 0);
    expect(await recordOf(place, run)).toMatchObject({
      state: expect.stringMatching(/^(failed|killed)$/),
      exitCode: 137,
      network: { connections: [] },
    });
  }, 120_000);
});
