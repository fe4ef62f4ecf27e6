import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { networkAt, networkOptions } from '../../src/adapters/docker/network.js';
import { findReachable } from '../../src/adapters/docker/network-probe.js';
import { gatewayName, networkName, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import type { ConnectionRecord } from '../../src/model/record.js';
import type { EgressRule, Network, PublishedPort } from '../../src/model/network.js';
import {
  makeRunId,
  makeSignals,
  openEngine,
  type EngineWorld,
  type Finished,
} from '../support/engine-run.js';

const execute = promisify(execFile);
/** Of the engine's own bridge: where a gateway finds this machine. */
const HOST = '172.17.0.1';

let world: EngineWorld;
const servers: Server[] = [];
beforeAll(async () => {
  world = await openEngine();
}, 60_000);
afterAll(async () => {
  for (const server of servers) server.close();
  await world.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const isolated = (declared: { egress?: EgressRule[]; ports?: PublishedPort[] } = {}): Network => ({
  mode: 'isolated',
  ports: declared.ports ?? [],
  egress: declared.egress ?? [],
});

const run = (network: Network, code: string): Promise<Finished> => world.run({ network, code });
const answers = <T>({ stdout, stderr, outcome }: Finished): T => {
  if (outcome.exitCode !== 0) throw new Error(`exit ${outcome.exitCode}: ${stderr}`);
  return JSON.parse(stdout.toString()) as T;
};

async function leftOf(runId: string): Promise<string> {
  const list = async (...args: string[]) => (await execute('docker', args)).stdout.trim();
  const filter = `name=${sandboxName(runId)}`;
  return [
    await list('ps', '-aq', '--filter', filter),
    await list('network', 'ls', '-q', '--filter', filter),
  ].join('');
}

/** In scope of the code below. */
const CLIENT = `
const net = require('net'), http = require('http'), tls = require('tls'), dns = require('dns');
const say = (value) => require('fs').writeSync(1, JSON.stringify(value));
const connect = (host, port, bytes = '') => new Promise((done) => {
  const socket = net.connect({ host, port });
  let text = '';
  socket.setTimeout(5000, () => { socket.destroy(); done('timeout') });
  socket.on('connect', () => socket.write(bytes)).on('data', (data) => { text += data }).on('error', ({ code }) => done(code)).on('close', () => done(text));
});
const get = (url, headers = {}) => new Promise((done) => {
  http.get(url, { headers, agent: false }, (response) => {
    let text = '';
    response.on('data', (data) => { text += data }).on('end', () => done([response.statusCode, text]));
  }).on('error', ({ code }) => done(code));
});
`;

describe('isolated, with nothing declared', () => {
  test('nobody is there: no route, no host, no name, no IPv6; and nothing is left', async () => {
    const runId = makeRunId();
    const code = `${CLIENT}
      const os = require('os'), fs = require('fs');
      Promise.all([
        connect('${HOST}', 22), connect('169.254.169.254', 80), connect('1.1.1.1', 443),
        dns.promises.lookup('example.com').catch(({ code }) => code),
      ]).then((answers) => say({
        answers,
        interfaces: Object.values(os.networkInterfaces()).flat().map(({ family }) => family),
        routes: fs.readFileSync('/proc/net/route', 'utf8').trim().split('\\n').length - 1,
      }));`;
    const finished = await world.run({ network: isolated(), code }, { runId });
    const { answers: seen, ...rest } = answers<{ answers: string[] }>(finished);
    expect(seen.slice(0, 3)).toEqual(['ENETUNREACH', 'ENETUNREACH', 'ENETUNREACH']);
    expect(['EAI_AGAIN', 'ENOTFOUND']).toContain(seen[3]);
    expect(rest).toEqual({ interfaces: ['IPv4', 'IPv4'], routes: 1 });
    expect(finished.connections).toEqual([]);
    expect(await leftOf(runId)).toBe('');
  });
});

describe('the proof of isolation', () => {
  const reachable = async (change: (options: ReturnType<typeof networkOptions>) => void) => {
    const runId = makeRunId();
    const network = networkAt(runId, 4095);
    const options = networkOptions(runId, world.owner, network, '26.1.5');
    change(options);
    try {
      await world.client.docker.createNetwork(options);
      const plan = world.plan({ network: isolated() });
      return await findReachable(world.client, runId, world.owner, plan, network);
    } finally {
      await execute('docker', ['rm', '-f', sandboxName(runId)]);
      await execute('docker', ['network', 'rm', networkName(runId)]);
    }
  };

  test('finds the host on an internal network that has its address, and nobody on ours', async () => {
    expect(await reachable(() => undefined)).toEqual([]);
    const found = await reachable(({ Options }) => {
      delete Options!['com.docker.network.bridge.inhibit_ipv4'];
    });
    expect(found.join()).toMatch(/198\.19\.255\.241 (answered|accepted).*198\.19\.255\.241 is there/);
  });

  test('finds a way out', async () => {
    const found = await reachable((options) => {
      options.Internal = false;
      delete options.Options!['com.docker.network.bridge.inhibit_ipv4'];
    });
    expect(found).toContain('there is a route out');
  });
});

describe('egress', () => {
  let port: number;
  const seen: { host: string | undefined; url: string | undefined }[] = [];
  let tcp: number;
  let greeting: number;
  let names: Network;
  beforeAll(async () => {
    port = await listen(
      createWebServer((message, response) => {
        seen.push({ host: message.headers.host, url: message.url });
        let bytes = 0;
        message.on('data', (chunk: Buffer) => (bytes += chunk.length));
        message.on('end', () => response.end(`${message.method} ${bytes}`));
      }),
    );
    tcp = await listen(createServer((socket) => socket.on('error', () => undefined).pipe(socket)));
    greeting = await listen(
      createServer((socket) => socket.on('error', () => undefined).end('220 hello\r\n')),
    );
    const rule = (name: string, at: number): EgressRule => ({ name, port: at, address: HOST });
    names = isolated({
      egress: [
        rule('api.test', port),
        rule('other.test', port),
        rule('echo.test', tcp),
        rule('smtp.test', greeting),
        { name: 'gateway', port, address: null },
        { name: 'localhost.test', port: 1, address: HOST },
      ],
    });
  });

  test('carries what is declared, without the program knowing', async () => {
    const code = `${CLIENT}(async () => {
      const post = await new Promise((done) => {
        const request = http.request({ host: 'api.test', port: ${port}, method: 'POST' }, (response) => {
          let text = ''; response.on('data', (data) => { text += data }).on('end', () => done(text));
        });
        request.write('x'.repeat(100000)); request.end('y');
      });
      say([
        await get('http://api.test:${port}/a'), await fetch('http://other.test:${port}/b').then((r) => r.text()), post,
        await connect('smtp.test', ${greeting}),
        await new Promise((done) => { const s = net.connect(${tcp}, 'echo.test'); s.on('data', (d) => { s.end(); done(String(d)) }).end('\\0ping') }),
        await dns.promises.resolve4('api.test').then((found) => found.length),
      ]);
    })()`;
    const finished = await run(names, code);
    expect(answers(finished)).toEqual([[200, 'GET 0'], 'GET 0', 'POST 100001', '220 hello\r\n', '\0ping', 1]);
    const { connections } = finished;
    expect(connections.map(({ name, verdict, reason }) => [name, verdict, reason]).sort()).toEqual([
      ['api.test', 'allowed', null],
      ['api.test', 'allowed', null],
      ['echo.test', 'allowed', null],
      ['other.test', 'allowed', null],
      ['smtp.test', 'allowed', null],
    ]);
    expect(connections.every(({ address, direction }) => address === HOST && direction === 'out')).toBe(true);
    expect(connections.some(({ sentBytes }) => sentBytes > 100_000)).toBe(true);
    expect(finished.outcome.omittedConnections).toBe(0);
  });

  test('refuses every other spelling of a name, at once, and says why', async () => {
    const before = seen.length;
    const hosts = [
      'evil.test',
      'API.test',
      'api.test.',
      'xn--api.test',
      '172.17.0.1',
      '2886795265',
      '0xac110001',
      '[::ffff:172.17.0.1]',
      'api.test@evil.test',
      '',
    ];
    const code = `${CLIENT}(async () => {
      const answers = [];
      for (const host of ${JSON.stringify(hosts)}) answers.push((await get('http://api.test:${port}/', { host: host + ':${port}' }))[0]);
      answers.push((await connect('api.test', ${port}, 'GET / HTTP/1.1\\r\\n\\r\\n')).slice(0, 12));
      answers.push((await connect('api.test', ${port}, 'GET / HTTP/1.1\\r\\nHost: api.test:${port}\\r\\nHost: evil.test\\r\\n\\r\\n')).slice(0, 12));
      answers.push((await connect('api.test', ${port}, 'GET http://evil.test/ HTTP/1.1\\r\\nHost: api.test:${port}\\r\\n\\r\\n')).slice(0, 12));
      answers.push((await connect('api.test', ${port}, 'CONNECT 10.0.0.1:80 HTTP/1.1\\r\\nHost: api.test:${port}\\r\\n\\r\\n')).slice(0, 12));
      answers.push(await connect('api.test', ${port}, 'get / HTTP/1.1\\nHost: api.test\\n\\n'));
      answers.push(await connect('api.test', ${port}, '\\0\\1raw'));
      answers.push((await get('http://gateway:${port}/'))[0]);
      say(answers);
    })()`;
    const finished = await run(names, code);
    const seenAnswers = answers<unknown[]>(finished);
    expect(seenAnswers.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 403));
    expect(seenAnswers.slice(10)).toEqual([...Array.from({ length: 4 }, () => 'HTTP/1.1 403'), '', '', 403]);
    expect(seen.length).toBe(before);
    expect(finished.connections.filter(({ verdict }) => verdict === 'allowed')).toEqual([]);
    const reasons = finished.connections.map(({ name, reason }) => `${name}: ${reason}`);
    expect(reasons).toContain('evil.test: not declared');
    expect(reasons.join('\n')).toMatch(
      /gateway: it resolves to 172\.17\.\d+\.\d+, which is no public address/,
    );
  });

  test('a later request on the same connection is looked at too', async () => {
    const requests = `GET /1 HTTP/1.1\\r\\nHost: api.test:${port}\\r\\n\\r\\nGET /2 HTTP/1.1\\r\\nHost: evil.test:${port}\\r\\n\\r\\n`;
    const finished = await run(names, `${CLIENT}connect('api.test', ${port}, '${requests}').then(say)`);
    const text = answers<string>(finished);
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 403']);
    expect(finished.connections.map(({ name, verdict }) => [name, verdict]).sort()).toEqual([
      ['api.test', 'allowed'],
      ['evil.test', 'blocked'],
    ]);
  });

  test('a name that is not declared fails fast, and is known', async () => {
    const code = `${CLIENT}const begin = Date.now();
      dns.promises.lookup('data-for.evil.test').catch(({ code }) => say([code, Date.now() - begin < 4000]))`;
    const finished = await run(names, code);
    expect(answers(finished)).toEqual(['ENOTFOUND', true]);
    expect(finished.connections).toMatchObject([
      { name: 'data-for.evil.test', verdict: 'blocked', reason: 'not declared', port: null },
    ]);
  });
});

test('a program cannot end its gateway by what it leaves there, and so hide a connection', async () => {
  const port = await listen(createServer((socket) => void socket.on('error', () => undefined).pause()));
  const rule = (name: string): EgressRule => ({ name, port, address: HOST });
  const code = `${CLIENT}
    const record = (length) => Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]), Buffer.alloc(length - 4, 1)]);
    const hello = Buffer.concat([record(16384), record(16384), record(16384), record(16000)]);
    const post = 'POST / HTTP/1.1\\r\\nHost: api.test:${port}\\r\\nContent-Length: 100000000\\r\\n\\r\\n';
    net.connect(${port}, 'api.test').on('error', () => {}).write(post + 'told');
    setTimeout(() => {
      for (let at = 0; at < 900; at += 1) {
        const socket = net.connect(${port}, 'api.test').on('error', () => {});
        if (at % 2) socket.write(hello);
        else for (const piece of [post, ...Array(6).fill(Buffer.alloc(65536, 65))]) socket.write(piece);
      }
    }, 500);
    setTimeout(() => process.exit(), 8000);`;
  const { outcome, connections } = await run(isolated({ egress: [rule('api.test'), rule('b.test')] }), code);
  expect(outcome.exitCode).toBe(0);
  expect(connections).toContainEqual(expect.objectContaining({ name: 'api.test', verdict: 'allowed' }));
  expect(connections).toContainEqual(
    expect.objectContaining({ verdict: 'blocked', reason: 'too many connections at a time' }),
  );
});

describe('ports', () => {
  const code = `require('http').createServer((q, s) => s.end('served ' + q.url)).listen(3005, '0.0.0.0'); setTimeout(() => process.exit(), 15000)`;
  const fetchFrom = async (port: number, path: string): Promise<string> => {
    // The program may not listen yet.
    for (let tries = 0; ; tries += 1) {
      try {
        return await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      } catch (error) {
        if (tries === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };

  test('a server is published on 127.0.0.1 alone, and who came is known', async () => {
    const abort = new AbortController();
    const runId = makeRunId();
    let chosen = 0;
    const published = [{ hostAddress: '127.0.0.1', hostPort: 0, containerPort: 3005 }];
    const running = world.run(
      { network: isolated({ ports: published }), code },
      { runId, signals: makeSignals(abort.signal), onPorts: ([port]) => (chosen = port!.hostPort) },
    );
    while (chosen === 0) await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 50))]);
    expect(await fetchFrom(chosen, '/a')).toBe('served /a');
    const { stdout } = await execute('docker', ['port', gatewayName(runId)]);
    expect(stdout.trim()).toBe(`3005/tcp -> 127.0.0.1:${chosen}`);
    // Another container on the network that leads out: it has a way to the port, and no answer.
    const { stdout: address } = await execute('docker', [
      'inspect',
      '--format',
      '{{.NetworkSettings.Networks.bridge.IPAddress}}',
      gatewayName(runId),
    ]);
    const neighbour = `fetch('http://${address.trim()}:3005/').then(() => console.log('answered'), (error) => console.log(error.cause.code))`;
    const { stdout: told } = await execute('docker', ['run', '--rm', world.imageId, 'node', '-e', neighbour]);
    expect(told.trim()).not.toBe('answered');
    abort.abort();
    const { connections } = await running;
    expect(connections).toContainEqual(
      expect.objectContaining({
        direction: 'in',
        port: 3005,
        verdict: 'allowed',
        receivedBytes: expect.any(Number),
      }),
    );
    expect(connections).toContainEqual(
      expect.objectContaining({
        direction: 'in',
        verdict: 'blocked',
        reason: expect.stringMatching(/neighbour/),
      }),
    );
    expect(await leftOf(runId)).toBe('');
  });

  test('one that somebody has is refused before anything runs, and nothing is left', async () => {
    const taken = await listen(createServer());
    const runId = makeRunId();
    const ports = [{ hostAddress: '127.0.0.1', hostPort: taken, containerPort: 3005 }];
    await expect(world.run({ network: isolated({ ports }), code }, { runId })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: `127.0.0.1:${taken} is taken by another program`,
    });
    expect(await leftOf(runId)).toBe('');
  });
});

test('a run whose gateway is killed ends, says so, and leaves nothing', async () => {
  const runId = makeRunId();
  const network = isolated({ egress: [{ name: 'a.test', port: 443, address: HOST }] });
  const running = world.run(
    { network, code: 'setInterval(() => {}, 1000)' },
    { runId, onStarted: () => void execute('docker', ['kill', gatewayName(runId)]) },
  );
  await expect(running).rejects.toMatchObject({
    code: 'CONTAINER_LOST',
    message: 'the gateway of the run ended while the program ran',
  });
  expect(await leftOf(runId)).toBe('');
});

test('of an sjs that is killed the gateway goes at once, what it told is read back, and the rest goes with the next command', async () => {
  const runId = makeRunId();
  const port = await listen(createServer((socket) => socket.on('error', () => undefined).pipe(socket)));
  const told: ConnectionRecord[] = [];
  const program = await world.bundle('test/support/engine-child.ts', 'engine-child.mjs');
  const plan = world.plan({
    network: isolated({ egress: [{ name: 'a.test', port, address: HOST }] }),
    code: `const s = require('net').connect(${port}, 'a.test').on('data', () => console.log('up')).on('error', () => {}); s.write('\\0one'); setInterval(() => {}, 1000)`,
    resources: { timeoutMs: 5000 },
  });
  const home = `${world.folder}/home`;
  const child = spawn(process.execPath, [program, runId, home, world.folder, JSON.stringify(plan)]);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  while (!said.includes('up')) await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const stateOf = async (name: string) =>
    (await execute('docker', ['inspect', '--format', '{{.State.Status}}', name])).stdout.trim();
  while ((await stateOf(gatewayName(runId))) !== 'exited')
    await new Promise((resolve) => setTimeout(resolve, 50));
  const left = (await world.engine.listRuns(home)).find((one) => one.runId === runId);
  expect(left).toBeDefined();
  const outcome = await world.engine.recover(
    left!,
    { timeoutMs: 5000, outputBytes: 1024 },
    {
      onStdout: () => undefined,
      onStderr: () => undefined,
      onConnection: (connection) => void told.push(connection),
      onEnded: () => Promise.resolve(),
    },
  );
  expect(outcome).toMatchObject({ end: 'timed-out', omittedConnections: 0 });
  expect(told).toMatchObject([{ name: 'a.test', address: HOST, verdict: 'allowed', sentBytes: 4 }]);
  expect(await leftOf(runId)).toBe('');
}, 60_000);

test('what is left between network and container is found by the network alone', async () => {
  const runId = makeRunId();
  const network = networkAt(runId, 4090);
  await world.client.docker.createNetwork(networkOptions(runId, world.owner, network, '26.1.5'));
  const left = (await world.engine.listRuns(world.owner.home)).find((one) => one.runId === runId);
  expect(left).toBeDefined();
  const streams = {
    onStdout: () => undefined,
    onStderr: () => undefined,
    onConnection: () => undefined,
    onEnded: () => Promise.resolve(),
  };
  expect(await world.engine.recover(left!, { timeoutMs: 1, outputBytes: 1 }, streams)).toBeNull();
  expect(await leftOf(runId)).toBe('');
});

test('isolated runs at the same time have a network each', async () => {
  const code = `process.stdout.write(Object.values(require('os').networkInterfaces()).flat().find(({ internal }) => !internal).address)`;
  const finished = await Promise.all(Array.from({ length: 6 }, () => run(isolated(), code)));
  expect(new Set(finished.map(({ stdout }) => stdout.toString())).size).toBe(6);
}, 120_000);
