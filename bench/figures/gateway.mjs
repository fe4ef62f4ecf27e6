import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { createServer } from 'node:net';
import { interleave, median, round } from '../measure.mjs';

const PORT = 3005;
const SERVER = `require('node:http').createServer((_, answer) => answer.end('hello')).listen(${PORT}, '0.0.0.0');
`;
const REQUESTS = 500;
const LOAD_MS = 10_000;

/** A server in a sandbox, reached through its gateway, beside the same server in a plain container. */
export async function measure({ add, sjs, world }) {
  const [port, directPort] = await Promise.all([freePort(), freePort()]);
  const sandbox = await world.makeSandbox(
    'server',
    { 'index.js': SERVER },
    `  network: { mode: isolated, ports: ["127.0.0.1:${port}:${PORT}"] }\n  resources: { timeout: 10m }\n`,
  );
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
  const container = execFileSync(
    'docker',
    ['run', '--rm', '--detach', '--publish', `127.0.0.1:${directPort}:${PORT}`, tag],
    { encoding: 'utf8' },
  ).trim();
  const [command, ...args] = sjs('run', tag);
  const running = spawn(command, args, { env: world.env, stdio: 'ignore' });
  try {
    await Promise.all([port, directPort].map(answers));
    const results = await interleave(5, {
      gateway: () => medianOf(port),
      direct: () => medianOf(directPort),
    });
    const [through, direct] = [median(results.gateway), median(results.direct)];
    add(
      'gateway-latency',
      'what the gateway adds to a request, at the median',
      { atMost: 1 },
      {
        value: round(through - direct, 2),
        unit: 'ms',
        sjsMs: round(through, 2),
        rival: '`docker run --publish`',
        rivalMs: round(direct, 2),
        rounds: results.gateway.length,
        samples: {
          sjs: results.gateway.map((ms) => round(ms, 2)),
          rival: results.direct.map((ms) => round(ms, 2)),
        },
      },
    );
    add(
      'gateway-rate',
      `requests through the gateway for ${LOAD_MS / 1000} s, none failed`,
      { atMost: Infinity, atLeast: 500 },
      { value: round(await rateOf(port), 0), unit: '/s', rounds: 1 },
    );
  } finally {
    execFileSync('docker', ['rm', '-f', container], { stdio: 'ignore' });
    running.kill('SIGINT');
    if (running.exitCode === null) await once(running, 'exit');
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** One request; the answer must be the server's. */
function ask(port, agent) {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () =>
        answer.statusCode === 200 && text === 'hello'
          ? resolve()
          : reject(new Error(`port ${port} answers ${answer.statusCode} ${text}`)),
      );
    }).on('error', reject);
  });
}

async function answers(port) {
  for (const end = performance.now() + 60_000; performance.now() < end;) {
    try {
      return await ask(port);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`nothing answers on port ${port}`);
}

async function medianOf(port) {
  const agent = new Agent({ keepAlive: true });
  const times = [];
  for (let index = 0; index < REQUESTS; index += 1) {
    const begin = performance.now();
    await ask(port, agent);
    times.push(performance.now() - begin);
  }
  agent.destroy();
  return median(times);
}

/** Answers a second, of eight clients that ask again as soon as they are answered. */
async function rateOf(port) {
  const agent = new Agent({ keepAlive: true });
  let count = 0;
  const end = performance.now() + LOAD_MS;
  const client = async () => {
    for (; performance.now() < end; count += 1) await ask(port, agent);
  };
  await Promise.all(Array.from({ length: 8 }, client));
  agent.destroy();
  return count / (LOAD_MS / 1000);
}
