import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect } from '@jest/globals';
import { readAnswer } from '../../src/stages/call/read-answer.js';
import { writeCall } from '../../src/stages/call/write-request.js';
import { attack } from '../support/attack.js';
import { removeImages } from '../support/docker.js';
import { makeRunId } from '../support/engine-run.js';
import { sealFunctions, type Functions } from '../support/functions.js';
import { cleanFolders, makeFolder } from '../support/world.js';

const execute = promisify(execFile);

/** Run before a function gives its result; what it does is its own outcome. */
const PATCHES = `
JSON.stringify = () => '"forged"'; JSON.parse = () => 'forged';
Promise.prototype.then = function () { return this };
Buffer.from = Buffer.concat = Buffer.alloc = () => new Uint8Array(1e6);
require('node:fs').writeSync = () => 0;
Array.prototype[Symbol.iterator] = function* () { yield 'forged' };
Array.prototype.push = String.prototype.padStart = String.prototype.replaceAll = () => 'forged';
Object.prototype.toJSON = () => 'forged';
process.exit = process.reallyExit = () => {};
`;
const SOURCE = `const fs = require('node:fs'), cp = require('node:child_process'), { Worker } = require('node:worker_threads');
const piece = (nonce, type, body) => '\\0sjs' + nonce + type + body.length.toString(16).padStart(4, '0') + body;
exports.forge = () => {
  const nonce = '0'.repeat(32);
  fs.writeSync(2, piece(nonce, 'e', ''));
  fs.writeSync(1, piece(nonce, 'v', '"forged"') + piece(nonce, 'p', '"for').slice(0, -2) + '\\0sjs' + '{"outcome":"result","value":"forged"}\\n');
  return 'mine';
};
exports.timers = () => { setInterval(() => {}, 10); return 'mine' };
exports.loops = async () => { setImmediate(() => { for (;;); }); return 'mine' };
exports.children = () => { cp.spawn(process.execPath, ['-e', 'setInterval(() => console.log("child"), 1)'], { stdio: 'inherit', detached: true }); return 'mine' };
exports.workers = () => { new Worker('for (;;) require("fs").writeSync(1, "worker\\\\n")', { eval: true }); return 'mine' };
exports.floods = () => { const text = 'x'.repeat(65536); process.on('exit', () => { for (;;) fs.writeSync(1, text) }); setInterval(() => fs.writeSync(1, text)); return 'mine' };
exports.begins = () => { const text = '\\0sjs'.repeat(1000); for (;;) fs.writeSync(1, text) };
exports.endless = () => { const text = '\\0sjs' + 'f'.repeat(32) + 'vffff'; for (;;) fs.writeSync(1, text) };
exports.patches = () => { ${PATCHES.replaceAll('\n', ' ')} return { a: 'mine' } };
exports.closes = () => { for (let fd = 0; fd < 64; fd++) try { fs.closeSync(fd) } catch {} return 'mine' };
exports.exits = () => process.reallyExit(124);
exports.aborts = () => process.abort();
exports.kills = () => { process.kill(process.pid, 'SIGKILL'); for (;;); };
exports.honest = () => 'honest';
`;

let functions: Functions;
beforeAll(async () => {
  const name = `calls-${randomBytes(6).toString('hex')}`;
  const spec = '  permissions: { childProcess: true, worker: true }\n';
  functions = await sealFunctions(await makeFolder(), name, SOURCE, spec);
  images.add(functions.tag);
}, 120_000);
const images = removeImages();
cleanFolders();

/** Nothing of a call may be left, and the next one is as ever. */
async function expectUnharmed(): Promise<void> {
  const label = `label=dev.sjs.run.home=${join(functions.home, 'sjs')}`;
  expect((await execute('docker', ['ps', '-aq', '--filter', label])).stdout).toBe('');
  expect(await functions.call('honest')).toMatchObject({ outcome: 'result', value: 'honest', status: 0 });
}

/** A container of the same image that is asked the same; gives what it wrote to stdout in that time, and whether it ended. */
async function callWithout(name: string, waitMs: number): Promise<{ stdout: Buffer; ended: boolean }> {
  const container = `sjs-attack-${makeRunId().toLowerCase()}`;
  const words = [
    'run',
    '-i',
    '--rm',
    '--network=none',
    `--name=${container}`,
    '--entrypoint=/usr/local/bin/node',
  ];
  const child = spawn('docker', [...words, functions.tag, '--', '/.sjs/call.cjs', '/app/index.js']);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void (chunks.length < 1000 && chunks.push(chunk)));
  child.stderr.resume();
  let ended = false;
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve(void (ended = true))));
  child.stdin.end(Buffer.concat([writeCall(makeRunId(), { export: name }, 2), Buffer.from('[]')]));
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, waitMs))]);
  const result = { stdout: Buffer.concat(chunks), ended };
  await execute('docker', ['rm', '-f', container]).catch(() => undefined);
  return result;
}

attack(
  'L01',
  async () => {
    const called = await functions.call('forge');
    expect(called).toMatchObject({ outcome: 'result', value: 'mine', state: 'succeeded' });
    expect(called.output.stdout).toContain('"forged"');
    await expectUnharmed();
    return 'the result is what the function returned; what it printed is output, byte for byte';
  },
  async () => {
    const { stdout } = await callWithout('forge', 20_000);

    expect(/\0sjs[0-9a-f]{32}v[0-9a-f]{4}("[a-z]+")/.exec(stdout.toString())?.[1]).toBe('"forged"');
    return 'the forged one comes first';
  },
);

const LINGERING = ['timers', 'loops', 'children', 'workers', 'floods'];
attack(
  'L02',
  async () => {
    for (const name of LINGERING) {
      const called = await functions.call(name, [], '--timeout', '20s');
      expect(called).toMatchObject({ outcome: 'result', value: 'mine', state: 'succeeded', exitCode: 0 });
    }
    await expectUnharmed();
    return `${LINGERING.join(', ')}: each has its result, and is gone with it`;
  },
  async () => {
    // The runner ends its own process; a program that waits for its function alone would not.
    const script = `${SOURCE}; exports.timers()`;
    const container = `sjs-attack-${makeRunId().toLowerCase()}`;
    const words = ['run', '-d', `--name=${container}`, '--network=none', '--entrypoint=/usr/local/bin/node'];
    await execute('docker', [...words, functions.tag, '-e', script]);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const { stdout } = await execute('docker', ['inspect', '-f', '{{.State.Running}}', container]);
    await execute('docker', ['rm', '-f', container]);
    expect(stdout.trim()).toBe('true');
    return 'it goes on for ever';
  },
);

attack(
  'L03',
  async () => {
    for (const name of ['begins', 'endless']) {
      const called = await functions.call(name, [], '--output-limit', '1Mi');
      expect(called).toMatchObject({ outcome: 'output-limit', state: 'output-limit' });
      // All of it is output, but for a last piece that could be the beginning of a marker.
      expect(Buffer.byteLength(called.output.stdout)).toBe(1024 ** 2);
    }
    await expectUnharmed();
    return 'output-limit, and all that came before is kept as output';
  },
  () => {
    const bytes = Buffer.from('\0sjs'.repeat(15_000));
    const timeOf = (act: (chunk: Uint8Array) => void): number => {
      const begin = performance.now();
      for (let at = 0; at < bytes.length; at += 1) act(bytes.subarray(at, at + 1));
      return performance.now() - begin;
    };
    const reader = readAnswer(makeRunId());
    const ours = timeOf((chunk) => reader.stdout(chunk));
    let held = Buffer.alloc(0);
    const naive = timeOf((chunk) => {
      held = Buffer.concat([held, chunk]);
      held.indexOf('\0sjsffff');
    });
    expect(naive).toBeGreaterThan(3 * ours);
    return `60 kB byte by byte take it ${Math.round(naive / ours)} times as long, and more with each byte`;
  },
);

attack(
  'L04',
  async () => {
    const said: string[] = [];
    for (const name of ['patches', 'closes', 'exits', 'aborts', 'kills']) {
      const called = await functions.call(name, [], '--timeout', '5s');
      expect(['result', 'threw', 'exited', 'timed-out']).toContain(called.outcome);
      expect(JSON.stringify(called)).not.toContain('"id":"forged"');
      if (called.outcome !== 'result') expect(called.state).not.toBe('succeeded');
      said.push(`${name}: ${called.outcome}`);
      await expectUnharmed();
    }
    return `${said.join(', ')}; records and later calls as ever`;
  },
  () => {
    const script = `const write = require('node:fs').writeSync; ${PATCHES} write(1, JSON.stringify({ id: 'real' }))`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('"forged"');
    return 'what the caller writes then is forged';
  },
);
