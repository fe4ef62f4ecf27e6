import { execFile, execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();
const execute = promisify(execFile);

const CLOCK = '2024-02-29T12:00:00.000Z';
let folder: string;

beforeAll(async () => {
  folder = await makeFolder();
  const words = ['src/guest/determinism-preload.ts', '--bundle', '--platform=node', '--format=cjs'];
  execFileSync('node_modules/.bin/esbuild', [...words, `--outfile=${join(folder, 'preload.cjs')}`], {
    stdio: 'pipe',
  });
});

/** Runs a program under the preload; what it prints on both streams. */
async function run(
  code: string,
  {
    clock = CLOCK,
    seed = 42,
    file = 'program.cjs',
  }: { clock?: string | null; seed?: number | null; file?: string } = {},
): Promise<string> {
  await writeFile(join(folder, 'determinism.json'), JSON.stringify({ clock, seed }));
  await writeFile(join(folder, file), code);
  return start(file);
}

/** Runs a program that was written before. */
async function start(file: string): Promise<string> {
  const { stdout, stderr } = await execute(
    process.execPath,
    ['--require', join(folder, 'preload.cjs'), join(folder, file)],
    { timeout: 60_000, env: { PATH: process.env['PATH'], TZ: 'UTC' } },
  );
  return stdout + stderr;
}

const ALL = `const crypto = require('crypto'); const { performance: perf } = require('perf_hooks');
console.log(Date.now(), new Date(), Date(), new Date().getTime(), performance.now(), perf.timeOrigin);
console.log(process.hrtime(), process.hrtime.bigint(), process.uptime(), new Intl.DateTimeFormat('en').format());
console.log(new Intl.DateTimeFormat('en').formatToParts()[0].value, performance.mark('a').startTime);
performance.mark('b'); console.log(performance.measure('m', 'a', 'b').duration, performance.measure('n').duration);
console.time('t'); console.timeLog('t', 1); console.timeEnd('t');
console.log(Math.random(), crypto.randomBytes(5), crypto.randomInt(10), crypto.randomInt(5, 7), crypto.randomUUID());
console.log(crypto.randomFillSync(new Uint16Array(3), 1, 1), crypto.getRandomValues(new Uint8Array(3)));
console.log(globalThis.crypto.getRandomValues(new Uint32Array(2)), globalThis.crypto.randomUUID(), crypto.webcrypto.randomUUID());
crypto.randomBytes(3, (error, bytes) => console.log(error, bytes));
crypto.randomInt(100, (error, number) => console.log(error, number));
crypto.randomFill(Buffer.alloc(2), (error, bytes) => console.log(error, bytes));
setTimeout(() => console.log('timer', Date.now()), 30);
require('timers/promises').setTimeout(60, 'late').then((word) => console.log(word, Date.now()));`;

test('two runs of all that is frozen are the same, byte for byte; another seed or clock is another run', async () => {
  const first = await run(ALL);
  expect(await run(ALL)).toBe(first);
  expect(first).toContain('1709208000000');
  expect(first).toContain('timer 1709208000030');
  expect(first).toContain('late 1709208000060');
  expect(first).not.toMatch(/warning/i);
  const [clock, numbers] = [
    await run(ALL, { seed: 43 }),
    await run(ALL, { clock: '2030-01-01T00:00:00.000Z' }),
  ];
  expect(clock.split('\n')[0]).toBe(first.split('\n')[0]);
  expect(clock).not.toBe(first);
  expect(numbers).not.toContain('1709208000000');
  expect(numbers).toContain(/0\.\d+ <Buffer [^>]*>/.exec(first)?.[0]);
});

test('without one of them that one is real', async () => {
  const code = 'console.log(Math.random()); console.log(Date.now())';
  const [a, b] = [await run(code, { clock: null }), await run(code, { clock: null })].map((text) =>
    text.split('\n'),
  );
  expect(a?.[0]).toBe(b?.[0]);
  expect(Number(a?.[1])).toBeGreaterThan(Date.parse('2025-01-01'));
  const [c, d] = [await run(code, { seed: null }), await run(code, { seed: null })].map((text) =>
    text.split('\n'),
  );
  expect(c?.[0]).not.toBe(d?.[0]);
  expect(c?.[1]).toBe(d?.[1]);
});

test('random numbers are those of xoshiro128** over the documented seed', async () => {
  // Computed with BigInt apart from the implementation, from Blackman and Vigna's reference.
  const code = `const { createHash } = require('crypto');
    const h = createHash('sha256').update(['sjs determinism 1', 42, 0, 'Math.random'].join('\\n')).digest();
    const M = 0xffffffffn; const s = [0, 4, 8, 12].map((at) => BigInt(h.readUInt32LE(at)));
    const rotl = (x, k) => ((x << k) | (x >> (32n - k))) & M;
    const next = () => { const r = (rotl((s[1] * 5n) & M, 7n) * 9n) & M; const t = (s[1] << 9n) & M;
      s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t; s[3] = rotl(s[3], 11n); return Number(r); };
    for (let i = 0; i < 1000; i += 1) {
      const expected = ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
      if (Math.random() !== expected) throw new Error('other at ' + i);
    }
    console.log('same');`;
  expect(await run(code)).toBe('same\n');
});

describe('a frozen clock', () => {
  test('goes on by reads and timers: who waits for it comes to an end', async () => {
    const code = `const from = Date.now(); while (Date.now() < from + 50);
      const since = process.hrtime(); const [s, ns] = process.hrtime(since);
      if (s !== 0 || ns <= 0 || process.hrtime.bigint() >= 10n ** 9n) throw new Error('hrtime');
      let ticks = 0; const timer = setInterval(() => { if (Date.now() >= from + 60_000 || (ticks += 1) > 99) {
        clearInterval(timer); console.log(ticks); } }, 1);
      const again = () => (Date.now() < from + 80 ? setTimeout(again, 10) : console.log('done'));
      again();`;
    expect(await run(code)).toMatch(/done\n100\n/);
  });

  test('is a Date as any other', async () => {
    const code = `class Later extends Date { next() { return new this.constructor(this.getTime() + 1); } }
      const d = new Date(2020, 1, 2); const l = new Later(5).next();
      console.log(d instanceof Date, l instanceof Later, l.getTime(), Date.length, Date.name, Date.UTC(1970), Date.parse('1970'),
        new d.constructor().getTime(), structuredClone(d) instanceof Date, typeof Date(), Object.keys(Date).length);`;
    expect(await run(code)).toBe('true true 6 7 Date 0 0 1709208000000 true string 0\n');
  });
});

test('what cannot be asked for is refused as ever', async () => {
  const code = `const crypto = require('crypto'); const refused = (act) => { try { act(); return 'taken'; } catch (e) { return e.code ?? e.name; } };
    console.log(refused(() => crypto.randomBytes(-1)), refused(() => crypto.randomInt(5, 5)), refused(() => setTimeout('x')),
      refused(() => crypto.getRandomValues(new Float32Array(1))), refused(() => crypto.randomFillSync(Buffer.alloc(2), 3)));`;
  expect(await run(code)).toBe(
    'ERR_OUT_OF_RANGE ERR_OUT_OF_RANGE ERR_INVALID_ARG_TYPE 17 ERR_OUT_OF_RANGE\n',
  );
});

test('modules, workers and forks have it too, each thread with numbers of its own', async () => {
  const code = `import { randomBytes, randomUUID } from 'node:crypto'; import { hrtime } from 'node:process';
    import { setTimeout as later } from 'node:timers/promises'; import { performance } from 'node:perf_hooks';
    import { Worker, isMainThread } from 'node:worker_threads'; import { fork } from 'node:child_process';
    const say = (who) => console.log(who, Date.now(), hrtime.bigint(), randomUUID(), Math.random(), performance.now());
    const over = (one) => new Promise((done) => one.once('exit', done));
    if (process.argv[2]) say('fork'); else if (!isMainThread) say('worker');
    else { say('main'); await over(new Worker(new URL(import.meta.url))); await over(new Worker(new URL(import.meta.url)));
      await over(fork(new URL(import.meta.url).pathname, ['child'])); console.log(await later(20, 'x'), Date.now()); }`;
  const first = await run(code, { file: 'program.mjs' });
  expect(await run(code, { file: 'program.mjs' })).toBe(first);
  const lines = first.trim().split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['main', 'worker', 'worker', 'fork', 'x']);
  const [main, one, two, fork] = lines.map((line) => line.replace(/^\w+ /, ''));
  expect(new Set([main, one, two]).size).toBe(3);
  // A process begins anew.
  expect(fork).toBe(main);
  expect(lines[4]).toBe('x 1709208000020');
});

test('keys are real', async () => {
  const code = `const { generateKeySync, generateKeyPairSync } = require('crypto');
    console.log(generateKeySync('aes', { length: 128 }).export().toString('hex'), generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x)`;
  expect(await run(code)).not.toBe(await run(code));
});

test('100 of 100 runs print the same time and random numbers', async () => {
  const code = `for (let i = 0; i < 100; i += 1) { const { Worker } = require('worker_threads'); if (i === 0) console.log(Date.now(), Math.random(), Worker.name); }`;
  const seen = new Set([await run(code)]);
  for (let at = 1; at < 100; at += 11) {
    const several = Array.from({ length: 11 }, () => start('program.cjs'));
    for (const text of await Promise.all(several)) seen.add(text);
  }
  expect([...seen]).toHaveLength(1);
});
