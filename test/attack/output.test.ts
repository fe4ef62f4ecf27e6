import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect } from '@jest/globals';
import { attack, sealSandbox, WITHOUT, type AttackSandbox } from '../support/attack.js';
import { cleanFolders, runSjs, world, type ProcessResult } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const MIB = 1024 ** 2;

let sandbox: AttackSandbox;
beforeAll(async () => {
  sandbox = await sealSandbox();
}, 120_000);

/** sjs in a shell: pipes, redirections, a terminal. The code of the program is $CODE. */
async function shell(script: string, code: string): Promise<ProcessResult> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: sandbox.home,
    SJS_HOME: join(sandbox.home, 'sjs'),
    SJS_POLICY: world.policyFile,
    NO_COLOR: '1',
    SJS: `${process.execPath} ${resolve('dist/cli/main.cjs')}`,
    TAG: sandbox.tag,
    CODE: code,
  };
  const options = { env, timeout: 60_000, maxBuffer: 64 * MIB };
  return execute('bash', ['-c', script], options).then(
    (done) => ({ code: 0, ...done }),
    (error: ProcessResult) => error,
  );
}
const containersLeft = async (): Promise<string> => {
  const label = `label=dev.sjs.run.home=${join(sandbox.home, 'sjs')}`;
  return (await execute('docker', ['ps', '-aq', '--filter', label])).stdout;
};

const LIMIT = 100_001;
/** The run is ended when it has written so much; without sjs the same code writes all it wants. */
function flood(id: 'O01' | 'O02', codes: Readonly<Record<string, string>>, bytes: number): void {
  const words = Object.keys(codes).join(', ');
  attack(
    id,
    async () => {
      for (const code of Object.values(codes)) {
        const record = await sandbox.record(code, '--output-limit', String(LIMIT));
        expect(record).toMatchObject({ state: 'output-limit' });
        expect(record.output.stdout).toHaveLength(LIMIT);
      }
      return `${words}: output-limit, cut at ${LIMIT} bytes`;
    },
    async () => {
      for (const code of Object.values(codes)) {
        const { exitCode, stdout } = await sandbox.runWithout(WITHOUT.nothing, code);
        expect([exitCode, stdout.length]).toEqual([0, bytes]);
      }
      return `${words}: all ${bytes} bytes`;
    },
  );
}
const write = (text: string, times: number): string =>
  `const text = ${text}; for (let i = 0; i < ${times}; i++) require('fs').writeSync(1, text)`;
flood('O01', { 'a flood': write(`'x'.repeat(65535) + '\\n'`, 64) }, 4 * MIB);
flood(
  'O02',
  {
    'a line': write(`'x'.repeat(65536)`, 4),
    'empty lines': write(`'\\n'.repeat(4096)`, 64),
    'single bytes': write(`'x'`, 256 * 1024),
  },
  256 * 1024,
);

const STEERING = [
  '\x1b]52;c;c3Bs\x07',
  '\x1b]0;title\x07',
  '\x1b]8;;http://x\x07link\x1b]8;;\x07',
  '\x1b[6n',
  '\x1bP$q"p\x1b\\',
];
const ON_TERMINAL = 'script -qec "$SJS run $FLAGS $TAG -- \\"\\$CODE\\"" /dev/null </dev/null';
const PRINT_STEERING = `process.stdout.write(${JSON.stringify([...STEERING, '\x1bc', '\x1b[?1049h', '\x9b2J', 'true\rfalse', '\x00'].join(' '))} + '\\n')`;
attack(
  'O04',
  async () => {
    const { code, stdout } = await shell(ON_TERMINAL, PRINT_STEERING);
    expect({ code, shown: stdout.replaceAll('\r\n', '\n') }).toEqual({
      code: 0,
      // eslint-disable-next-line no-control-regex
      shown: expect.not.stringMatching(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/),
    });
    expect(stdout).toContain(']52;c;c3Bs');
    return 'on a terminal all of it is text';
  },
  async () => {
    const { stdout } = await shell(`FLAGS=--raw; ${ON_TERMINAL}`, PRINT_STEERING);
    for (const sequence of STEERING) expect(stdout).toContain(sequence);
    return 'the terminal gets every sequence';
  },
);

const FORGED = {
  formatVersion: 1,
  state: 'succeeded',
  exitCode: 0,
  oomKilled: false,
  output: { stdout: 'all is well' },
};
const FORGE = `console.log(${JSON.stringify(JSON.stringify(FORGED))}); process.exit(3)`;
attack(
  'O07',
  async () => {
    const record = await sandbox.record(FORGE);
    expect(record).toMatchObject({ state: 'failed', exitCode: 3 });
    expect(JSON.parse(record.output.stdout)).toEqual(FORGED);
    return 'the record says failed, 3; the forgery is a text in it';
  },
  async () => {
    const { stdout } = await sandbox.run(FORGE);
    expect(JSON.parse(stdout)).toEqual(FORGED);
    return 'it says succeeded, 0';
  },
);

const FRAMES = '\x01\0\0\0\0\0\0\x05hello\x02\0\0\0\0\0\0\x05error\x01\0\0\0\x7f\x7f\x7f\x7f'.repeat(50);
const PRINT_FRAMES = `const text = ${JSON.stringify(FRAMES)};
for (let i = 0; i < text.length; i += 7) require('fs').writeSync(1, text.slice(i, i + 7));
require('fs').writeSync(2, 'stderr\\n')`;
attack(
  'O08',
  async () => {
    const { code, stdout, stderr } = await sandbox.run(PRINT_FRAMES);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: FRAMES, stderr: 'stderr\n' });
    return 'stdout to the byte, stderr apart';
  },
  async () => {
    const mixed = await sandbox.runWithout((options) => (options.Tty = true), PRINT_FRAMES);
    expect([mixed.stdout.includes('stderr'), mixed.stderr]).toEqual([true, '']);
    return 'stderr is in stdout';
  },
);

const ENDLESS = `setInterval(() => console.log('x'), 10)`;
attack(
  'O09',
  async () => {
    const gone = await shell('$SJS run $TAG -- "$CODE" | head -c 1; exit ${PIPESTATUS[0]}', ENDLESS);
    expect([gone.code, gone.stdout]).toEqual([141, 'x']);
    const full = await shell('$SJS run $TAG -- "$CODE" >/dev/full', ENDLESS);
    expect(full.code).toBe(125);
    expect(full.stderr).toContain('ENOSPC');
    expect(await containersLeft()).toBe('');
    return `reader gone: exit ${gone.code}; /dev/full: exit ${full.code}; no container is left`;
  },
  async () => {
    const read = await shell('$SJS run --timeout 2s $TAG -- "$CODE" | cat; exit ${PIPESTATUS[0]}', ENDLESS);
    expect(read.code).toBe(124);
    return 'it goes on to its time limit (124)';
  },
);

const PRINT_NOTHING = `setTimeout(() => {}, 1000)`;
attack(
  'O13',
  async () => {
    const holder = await sealSandbox('  secrets: [TOKEN]\n', { 'index.js': `eval(process.argv[2])` });
    const canary = randomBytes(12).toString('hex');
    const env = { TOKEN: canary };
    const args = ['run', '--verbose', '--secret', 'TOKEN', holder.tag, '--'];
    const running = runSjs(
      holder.home,
      [...args, `console.log(process.env.TOKEN.length); ${PRINT_NOTHING}`],
      { env },
    );
    const label = `label=dev.sjs.run.home=${join(holder.home, 'sjs')}`;
    let inspected = '';
    const deadline = Date.now() + 30_000;
    while (inspected === '' && Date.now() < deadline) {
      const { stdout } = await execute('docker', ['ps', '-q', '--filter', label]);
      const id = stdout.trim();
      if (id !== '') inspected = (await execute('docker', ['inspect', id])).stdout;
    }
    expect(inspected).not.toBe('');
    const ended = await running;
    expect([ended.code, ended.stdout]).toEqual([0, '24\n']);
    await execute('docker', ['image', 'rm', '-f', holder.tag]);
    const failed = await runSjs(holder.home, [...args, '0'], { env });
    expect(failed.code).not.toBe(0);
    const home = join(holder.home, 'sjs');
    const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    const kept = await Promise.all(
      files.map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')),
    );
    expect(
      [inspected, ended.stderr, failed.stdout, failed.stderr, ...kept].filter((text) =>
        text.includes(canary),
      ),
    ).toEqual([]);
    return `the program has it; inspect, --verbose, an error and ${files.length} files of SJS_HOME do not`;
  },
  async () => {
    const canary = randomBytes(12).toString('hex');
    const { stdout } = await sandbox.run('0', '--json', '--env', `VISIBLE=${canary}`);
    expect(stdout).toContain(canary);
    return 'it stands in the record';
  },
);
