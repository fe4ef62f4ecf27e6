import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, expect } from '@jest/globals';
import {
  attack,
  CannotBeTried,
  PRELUDE,
  sealSandbox,
  untilPrinted,
  WITHOUT,
  type AttackSandbox,
} from '../support/attack.js';
import { cleanFolders } from '../support/world.js';

cleanFolders();

let sandbox: AttackSandbox;
beforeAll(async () => {
  // In the sealed command itself, with the flags that sjs gives it.
  sandbox = await sealSandbox('', { 'index.js': 'eval(process.argv[2]);\n' });
}, 120_000);

/** How much CPU four spinning threads get in two seconds, and how often the kernel held them back. */
const SPIN = `(() => {
  const { Worker } = require('worker_threads');
  for (let i = 0; i < 4; i++) new Worker('for (;;);', { eval: true });
  const used = process.cpuUsage(), since = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
  const { user, system } = process.cpuUsage(used);
  const share = (user + system) / 1000 / (performance.now() - since);
  const groups = ['/sys/fs/cgroup/cpu/', '/sys/fs/cgroup/cpu,cpuacct/', '/sys/fs/cgroup/'];
  const file = groups.map((group) => group + 'cpu.stat').find((name) => fs.existsSync(name));
  setTimeout(() => process.exit(0));
  return { share, throttled: Number(/nr_throttled (\\d+)/.exec(read(file))[1]) };
})()`;
interface Spun {
  share: number;
  throttled: number;
}
attack(
  'R01',
  async () => {
    const { share, throttled } = await sandbox.ask<Spun>(SPIN, '--cpu', '100m');
    expect(share).toBeLessThan(0.15);
    expect(throttled).toBeGreaterThan(0);
    return `four spinning workers got ${share.toFixed(2)} of a CPU, of 0.10, and were held back ${throttled} times`;
  },
  async () => {
    const { share, throttled } = await sandbox.askWithout<Spun>(
      ({ HostConfig }) => (HostConfig.NanoCpus = 0),
      SPIN,
      { milliCpu: 100 },
    );
    // How much they get depends on who else is busy here; whether they are held back does not.
    expect(throttled).toBe(0);
    return `they got ${share.toFixed(2)}, and were never held back`;
  },
);

attack(
  'R02',
  async () => {
    const [count, code] = (await sandbox.ask<string>(`probe('forks', '400')`)).split(' ');
    expect(code).toBe('EAGAIN');
    expect(Number(count)).toBeLessThan(64);
    return `${code} after ${count} children, of 64 processes and threads`;
  },
  async () => {
    const said = await sandbox.askWithout<string>(
      ({ HostConfig }) => (HostConfig.PidsLimit = 0),
      `probe('forks', '400')`,
    );
    expect(said).toBe('400 OK');
    return '400 children';
  },
);

const GROW = `const all = []; for (let i = 0; i < 40; i++) all.push(Buffer.alloc(1e7, 1)); console.log('grown')`;
let lastGrown: Promise<{ state: string; exitCode: number | null; oomKilled: boolean | null }> | undefined;
const grown = () => (lastGrown ??= sandbox.record(GROW, '--memory', '96Mi'));
attack(
  'R03',
  async () => {
    expect(await grown()).toMatchObject({ state: 'out-of-memory', exitCode: 137, oomKilled: true });
    return 'out-of-memory, by the engine’s OOMKilled';
  },
  async () => {
    const { stdout } = await sandbox.runWithout(
      ({ HostConfig }) => Object.assign(HostConfig, { Memory: 0, MemorySwap: 0 }),
      GROW,
    );
    expect(stdout).toBe('grown\n');
    return '400 MB, and no end';
  },
);

const GROW_HEAP = 'const all = []; for (;;) all.push(new Array(1000).fill(all.length))';
attack(
  'R04',
  async () => {
    expect(await sandbox.record(GROW_HEAP)).toMatchObject({
      state: 'out-of-memory',
      exitCode: 137,
      oomKilled: true,
    });
    return 'out-of-memory, by the engine’s OOMKilled';
  },
  async () => {
    const ended = await sandbox.runWithout((options) => {
      const command = options.Entrypoint as string[];
      options.Entrypoint = command.map((word) => word.replace(/^(--max-old-space-size)=.*/, '$1=64'));
    }, GROW_HEAP);
    expect(ended).toMatchObject({ oomKilled: false });
    expect(ended.stderr).toContain('heap out of memory');
    return `V8 aborts (${ended.exitCode}), which says nothing of the limit`;
  },
);

const SWAP = `(() => {
  const [group] = ['/sys/fs/cgroup/memory/memory.', '/sys/fs/cgroup/memory.'].filter((name) => fs.existsSync(name + 'stat'));
  const number = (name) => Number(tries(() => read(group + name)).replace('max', 'Infinity'));
  const isSecond = fs.existsSync('/sys/fs/cgroup/memory.max');
  return isSecond ? number('swap.max') : number('memsw.limit_in_bytes') - number('limit_in_bytes');
})()`;
attack(
  'R06',
  async () => {
    const bytes = await sandbox.ask<number | null>(SWAP);
    if (bytes === null) throw new CannotBeTried('the kernel does not account for swap');
    expect(bytes).toBe(0);
    return 'its cgroup may use 0 bytes of swap';
  },
  async () => {
    const bytes = await sandbox.askWithout<number | null>(
      ({ HostConfig }) => (HostConfig.MemorySwap = -1),
      SWAP,
    );
    // JSON has no Infinity.
    expect(bytes ?? Infinity).toBeGreaterThan(2 ** 40);
    return 'as much as there is';
  },
);

const OPEN = `(() => {
  let files = 0;
  const end = tries(() => { for (; files < 3000; files++) fs.openSync('/dev/null') });
  return { files, end };
})()`;
attack(
  'R07',
  async () => {
    const seen = await sandbox.ask<{ files: number; end: string }>(OPEN);
    expect(seen.end).toBe('EMFILE');
    expect(seen.files).toBeLessThan(1024);
    return `${seen.end} after ${seen.files} files`;
  },
  async () => {
    const seen = await sandbox.askWithout<{ files: number; end: string }>(({ HostConfig }) => {
      HostConfig.Ulimits = HostConfig.Ulimits?.filter(({ Name }) => Name !== 'nofile') ?? [];
    }, OPEN);
    if (seen.end === 'EMFILE' && seen.files > 1024)
      throw new CannotBeTried('the engine itself has a low limit');
    expect(seen).toEqual({ files: 3000, end: 'ok' });
    return '3000 files, and no end';
  },
);

const WATCH = `tries(() => { fs.watch('/app').close() })`;
/** Does something while another run of this user holds all the inotify instances it can get. */
const whileInotifyIsUsedUp = <T>(act: () => Promise<T>): Promise<T> =>
  sandbox.beside(
    WITHOUT.nothing,
    `require('child_process').spawnSync('/app/probe', ['inotify', '1000'], { stdio: 'inherit' })`,
    async (container) => {
      const [count, code] = (await untilPrinted(container, /\n/)).trim().split(' ');
      if (code === 'OK') throw new CannotBeTried(`a process may have ${count} inotify instances and more`);
      return act();
    },
  );

attack(
  'R08',
  async () => {
    const other = await sealSandbox('  user: "65533:65533"\n');
    return whileInotifyIsUsedUp(async () => {
      expect(await other.ask(WATCH)).toBe('ok');
      expect(
        execFileSync(process.execPath, ['-e', `require('fs').watch('/').close(); console.log('ok')`], {
          encoding: 'utf8',
        }),
      ).toBe('ok\n');
      return 'a sandbox with another spec.user, and the host, still watch files';
    });
  },
  () =>
    whileInotifyIsUsedUp(async () => {
      expect(await sandbox.ask(WATCH)).toBe('EMFILE');
      return 'a run of a sandbox with the same user cannot watch any (EMFILE)';
    }),
);

/** Processes of this machine, those of containers too, that were started with these words. */
const processesWith = (words: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').startsWith(words);
      } catch {
        return false;
      }
    })
    .map(Number);
const newName = (): string => randomBytes(8).toString('hex');
attack(
  'R11',
  async () => {
    const name = newName();
    const record = await sandbox.record(`${PRELUDE}
      cp.execFileSync('/app/probe', ['daemon', '${name}'], { stdio: 'ignore' });
      const lines = fs.readdirSync('/proc').filter((pid) => /^\\d+$/.test(pid)).map((pid) => tries(() => read('/proc/' + pid + '/cmdline')));
      console.log(lines.filter((line) => line.startsWith('/app/probe\\0daemon')).length)`);
    expect(record).toMatchObject({ state: 'succeeded', exitCode: 0, output: { stdout: '1\n' } });
    expect(processesWith(`/app/probe daemon ${name}`)).toEqual([]);
    return 'it lived beside the program, and ended with it; the run succeeded';
  },
  () => {
    const name = newName();
    execFileSync(sandbox.probeFile, ['daemon', name], { stdio: 'ignore' });
    const [pid] = processesWith(`${sandbox.probeFile} daemon ${name}`);
    expect(pid).toBeDefined();
    process.kill(pid as number, 'SIGKILL');
    return 'it lives on';
  },
);

attack(
  'R12',
  async () => {
    expect(await sandbox.ask(`probe('orphans', '1000')`)).toBe('1000 OK');
    return '1000 orphans, one after the other, with 64 processes at most';
  },
  async () => {
    const said = await sandbox.askWithout<string>(
      ({ HostConfig }) => (HostConfig.Init = false),
      `probe('orphans', '1000')`,
    );
    const [count, code] = said.split(' ');
    expect(code).toBe('EAGAIN');
    return `EAGAIN after ${count}: nobody takes the dead away`;
  },
);

const BLOCK = `${PRELUDE}
const { Worker } = require('worker_threads');
new Worker('for (;;);', { eval: true });
cp.spawn(process.execPath, ['-e', "require('crypto').pbkdf2Sync('x', 'y', 1e9, 64, 'sha512')"]);
cp.spawn(process.execPath, ['-e', "/^(a+)+$/.test('a'.repeat(64) + '!')"]);
process.on('SIGTERM', () => {});
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
let lastBlocked: Promise<{ state: string; signal: string | null; durationMs: number | null }> | undefined;
const blocked = () => (lastBlocked ??= sandbox.record(BLOCK, '--timeout', '1500ms'));
attack(
  'R13',
  async () => {
    const record = await blocked();
    expect(record).toMatchObject({ state: 'timed-out', signal: 'SIGKILL' });
    expect(record.durationMs).toBeGreaterThanOrEqual(1500);
    expect(record.durationMs).toBeLessThan(6500);
    return `timed-out after ${record.durationMs} ms, of 1500`;
  },
  () =>
    sandbox.beside(WITHOUT.nothing, BLOCK, async (container) => {
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect((await container.inspect()).State.Running).toBe(true);
      return 'a second past the limit it still runs';
    }),
);

attack(
  'R14',
  async () => {
    const forgeries: [code: string, exitCode: number][] = [
      ['process.exit(137)', 137],
      ['process.exit(124)', 124],
      ['process.kill(process.pid, 9)', 137],
    ];
    for (const [code, exitCode] of forgeries) {
      expect(await sandbox.record(code)).toMatchObject({
        state: 'failed',
        exitCode,
        signal: null,
        oomKilled: false,
      });
    }
    return 'exit 137, exit 124, SIGKILL to itself: each failed with its own code, not killed, out of memory or timed out';
  },
  async () => {
    const ends = [(await grown()).state, (await blocked()).state];
    expect(ends).toEqual(['out-of-memory', 'timed-out']);
    return ends.join(', ');
  },
);
