import { execFileSync } from 'node:child_process';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { median, round } from '../measure.mjs';
import { SOCKET } from '../world.mjs';

const CODE = `export const quote = ({ items }) => items.reduce((sum, { cents, qty }) => sum + cents * qty, 0);\n`;
const ORDER = { items: [{ cents: 1250, qty: 2 }] };
const EXPECTED = 2500;

const percentile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(values.length * share) - 1)];

/** Warm calls, how fast a pool fills, what a member holds, and 2,000 calls at concurrency 16. */
export async function measure({ add, world }) {
  const folder = await world.makeSandbox(
    'pooled',
    { 'index.js': CODE },
    '  resources: { memory: 128Mi, timeout: 10s }\n',
  );
  const { tag } = JSON.parse(world.sjs(['build', folder, '--json']));
  const { createSjs } = await import('sjs');
  const sjs = createSjs({ env: world.env });
  const left = () =>
    execFileSync('docker', ['ps', '-aq', '--filter', `ancestor=${tag}`], { encoding: 'utf8' }).trim();
  const isRight = (result) => {
    if (result.outcome !== 'result' || result.value !== EXPECTED) throw new Error(JSON.stringify(result));
    return result;
  };

  const warm = await sjs.createPool({ target: tag, size: 4, preload: true });
  const times = [];
  for (let done = 0; done < 200; done += 1) {
    await warm.ready();
    // The engine has done what it does after a start, and removed the container of the call before.
    await delay(150);
    const begin = performance.now();
    isRight(await warm.call('quote', [ORDER]));
    times.push(performance.now() - begin);
  }
  const samples = { sjs: times.map((ms) => round(ms)) };
  const rounds = times.length;
  for (const [name, what, value, atMost] of [
    ['warm-call', 'a warm call through the library, the program preloaded, p50', median(times), 5],
    ['warm-call-p99', 'the same, p99', percentile(times, 0.99), 25],
  ])
    add(name, what, { atMost }, { value: round(value), unit: 'ms', rounds, samples });

  const idle = execFileSync('docker', ['ps', '-q', '--filter', `ancestor=${tag}`], { encoding: 'utf8' });
  const used = idle.trim().split('\n').map(memoryMiB);
  await warm.close();
  add(
    'member-memory',
    'memory of an idle member (docker stats)',
    { atMost: 50 },
    {
      value: round(median(used)),
      unit: 'MiB',
      rounds: used.length,
      samples: { sjs: used.map((mib) => round(mib)) },
    },
  );

  await measureRefill({ add, sjs, tag });

  const busy = await sjs.createPool({ target: tag, size: 4, max: 8, queueTimeoutMs: 60_000 });
  await busy.ready();
  const members = new Set();
  let next = 0;
  const total = 2000;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while ((next += 1) <= total) members.add(isRight(await busy.call('quote', [ORDER])).record.member);
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  await busy.close();
  if (members.size !== total) throw new Error(`${total} calls had ${members.size} containers`);
  if (left() !== '') throw new Error(`containers are left: ${left()}`);
  add(
    'pool-throughput',
    `${total} calls at concurrency 16 on a pool of 4: no error, no member twice, none left`,
    { atMost: Infinity, atLeast: 0 },
    { value: round(total / seconds, 2), unit: '/s', rounds: 1, samples: {} },
  );
}

const memoryMiB = (id) =>
  Number(
    execFileSync('docker', ['stats', '--no-stream', '--format', '{{.MemUsage}}', id], { encoding: 'utf8' })
      .split('/')[0]
      .replace('MiB', ''),
  );

/** A pool that fills, beside bare calls that create and start as many of the same containers. */
async function measureRefill({ add, sjs, tag }) {
  const count = 16;
  const fill = async () => {
    const pool = await sjs.createPool({ target: tag, size: count });
    const begin = performance.now();
    await pool.ready();
    const ms = performance.now() - begin;
    const [id] = execFileSync('docker', ['ps', '-q', '--filter', `ancestor=${tag}`], {
      encoding: 'utf8',
    }).split('\n');
    const [{ Config, HostConfig }] = JSON.parse(
      execFileSync('docker', ['inspect', id], { encoding: 'utf8' }),
    );
    await pool.close();
    return { ms, options: { ...Config, HostConfig, Labels: {} } };
  };
  const bare = async (options) => {
    const ids = [];
    const begin = performance.now();
    let next = 0;
    // As many at a time as a pool starts.
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while ((next += 1) <= count) {
          const { Id } = await post('/containers/create', options);
          ids.push(Id);
          await post(`/containers/${Id}/start`);
        }
      }),
    );
    const ms = performance.now() - begin;
    execFileSync('docker', ['rm', '-f', ...ids], { stdio: 'ignore' });
    return ms;
  };
  const results = { pool: [], bare: [] };
  for (let done = 0; done < 5; done += 1) {
    const { ms, options } = await fill();
    results.pool.push(ms);
    results.bare.push(await bare(options));
  }
  const perSecond = (times) => round((count * 1000) / median(times), 2);
  add(
    'pool-refill',
    `a pool of ${count} fills`,
    { atMost: Infinity, atLeast: 0.9 },
    {
      value: round(median(results.bare) / median(results.pool), 2),
      unit: 'ratio',
      sjsPerSecond: perSecond(results.pool),
      rival: 'bare calls that create and start the same containers',
      rivalPerSecond: perSecond(results.bare),
      rounds: results.pool.length,
      samples: { sjs: results.pool.map((ms) => round(ms)), rival: results.bare.map((ms) => round(ms)) },
    },
  );
}

function post(path, body) {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body ?? {});
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const sending = request({ socketPath: SOCKET, method: 'POST', path, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString();
        if (response.statusCode >= 400) reject(new Error(`POST ${path}: ${response.statusCode} ${answer}`));
        else resolve(answer === '' ? null : JSON.parse(answer));
      });
    });
    sending.on('error', reject);
    sending.end(text);
  });
}
