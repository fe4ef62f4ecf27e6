import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Pool } from '../../src/api.js';
import { attack } from '../support/attack.js';
import { docker } from '../support/docker.js';
import { sealFunctions, type Callable } from '../support/pool.js';
import { cleanFolders } from '../support/world.js';

cleanFolders();

/** Leaves what it can, and looks for what others left. */
const FUNCTIONS = `
import fs from 'node:fs';
import { spawn } from 'node:child_process';
import net from 'node:net';

export function soil(token) {
  fs.writeFileSync('/tmp/left-' + token, token);
  process.env.LEFT = token;
  globalThis.left = token;
  setInterval(() => {}, 1000);
  net.createServer().listen('/tmp/left.sock');
  spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).unref();
  return token;
}

export function look() {
  return {
    files: fs.readdirSync('/tmp'),
    env: process.env.LEFT ?? null,
    global: globalThis.left ?? null,
    processes: fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).length,
  };
}

export const echo = (value) => value;
export const secret = () => process.env.TOKEN;
`;

interface Look {
  readonly files: string[];
  readonly env: string | null;
  readonly global: string | null;
  readonly processes: number;
}

let sealed: Callable;
beforeAll(async () => {
  sealed = await sealFunctions(
    FUNCTIONS,
    '  permissions: { childProcess: true }\n  resources: { memory: 128Mi, timeout: 10s }\n',
  );
}, 120_000);
afterAll(() => {
  expect(sealed.containers()).toEqual([]);
  sealed.remove();
});

async function withPool<T>(size: number, use: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = await sealed.sjs.createPool({
    target: sealed.tag,
    size,
    max: size + 2,
    queueTimeoutMs: 240_000,
  });
  try {
    await pool.ready();
    return await use(pool);
  } finally {
    await pool.close();
  }
}

/** A container of the same image that lives on, for what a pool does not do. */
async function inOneContainer<T>(use: (run: (script: string) => string) => Promise<T> | T): Promise<T> {
  const id = docker([
    'run',
    '-d',
    '--rm',
    '--entrypoint',
    'node',
    sealed.tag,
    '-e',
    'setInterval(() => {}, 1000)',
  ]);
  try {
    return await use((script) => docker(['exec', id, 'node', '--input-type=module', '-e', script]));
  } finally {
    docker(['rm', '-f', id]);
  }
}

attack(
  'H21',
  () =>
    withPool(4, async (pool) => {
      const tokens = Array.from({ length: 40 }, (_, at) => `token-${at % 2}-${at}`);
      const looks: Look[] = [];
      const members: (string | undefined)[] = [];
      await Promise.all(
        tokens.map(async (token, at) => {
          const result = await (at % 2 === 0 ? pool.call('soil', [token]) : pool.call('look'));
          expect(result.outcome).toBe('result');
          members.push(result.record.member);
          if (result.outcome === 'result' && at % 2 === 1) looks.push(result.value as Look);
        }),
      );
      expect(new Set(members).size).toBe(40);
      expect(members).not.toContain(undefined);
      // The init process, and Node.
      for (const look of looks) expect(look).toEqual({ files: [], env: null, global: null, processes: 2 });
      return `40 calls had 40 containers; the ${looks.length} that looked found nothing of the others`;
    }),
  () =>
    inOneContainer((run) => {
      run("import { soil } from '/app/index.js'; soil('a'); process.exit(0)");
      const found = JSON.parse(
        run("import { look } from '/app/index.js'; console.log(JSON.stringify(look()))"),
      ) as Look;
      expect(found.files).toContain('left-a');
      expect(found.processes).toBeGreaterThan(2);
      return `the second finds ${found.files.join(', ')} and ${found.processes} processes`;
    }),
  300_000,
);

/** The container names of a pool's members that wait. */
const names = (): string[] =>
  docker(['ps', '--format', '{{.Names}}', '--filter', `label=dev.sjs.run.home=${sealed.sjs.home}`])
    .split('\n')
    .filter(Boolean);

attack(
  'H22',
  async () => {
    const harms: Record<string, (name: string) => unknown> = {
      killed: (name) => docker(['kill', name]),
      paused: (name) => docker(['pause', name]),
      removed: (name) => docker(['rm', '-f', name]),
      'out of memory': (name) =>
        docker(['exec', name, 'node', '-e', 'const a = []; for (;;) a.push(Buffer.alloc(1e7, 1))'], {
          stdio: 'ignore',
        }),
    };
    for (const [harm, act] of Object.entries(harms)) {
      await withPool(1, async (pool) => {
        const [harmed] = names();
        try {
          act(harmed ?? '');
        } catch {
          expect(harm).toBe('out of memory');
        }
        const result = await pool.call('echo', [harm]);
        expect(result).toMatchObject({ outcome: 'result', value: harm });
        expect(`sjs-${result.record.member?.toLowerCase()}`).not.toBe(harmed);
        await pool.ready();
      });
    }
    await withPool(1, async (pool) => {
      const id = docker(['image', 'inspect', '-f', '{{.Id}}', sealed.tag]);
      const other = docker(['build', '-q', '-'], { input: `FROM ${sealed.tag}\nENV OTHER=1\n` });
      try {
        docker(['tag', other, sealed.tag]);
        await expect(pool.call('echo', [1])).rejects.toMatchObject({ code: 'SEAL_MISMATCH' });
      } finally {
        docker(['tag', id, sealed.tag]);
        docker(['image', 'rm', '-f', other]);
      }
      expect(await pool.call('echo', [2])).toMatchObject({ outcome: 'result', value: 2 });
    });
    return 'killed, paused, removed, out of memory: another one answers; of another image: refused';
  },
  async () => {
    const program = "process.stdin.once('data', () => console.log('an answer'))";
    const name = `pool-control-${process.pid}`;
    const args = ['run', '-i', '--rm', '--name', name, '--entrypoint', 'node', sealed.tag, '-e', program];
    const client = spawn('docker', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      for (;;) if (docker(['ps', '-q', '--filter', `name=${name}`]) !== '') break;
      docker(['pause', name]);
      // Handed out without a look: it takes what it is given, and says nothing.
      client.stdin.write('anything');
      const said = new Promise<string>((resolve) => client.stdout.once('data', () => resolve('an answer')));
      expect(await Promise.race([said, delay(1000, 'silence')])).toBe('silence');
      return 'a paused one that is not looked at takes the call, and never answers';
    } finally {
      docker(['rm', '-f', name]);
      client.kill();
    }
  },
  300_000,
);

attack(
  'H23',
  () =>
    withPool(4, async (pool) => {
      const results = await Promise.all(Array.from({ length: 40 }, (_, at) => pool.call('echo', [at])));
      const values = results.map((result) => (result.outcome === 'result' ? result.value : result.outcome));
      expect(values).toEqual(Array.from({ length: 40 }, (_, at) => at));
      expect(new Set(results.map(({ record }) => record.member)).size).toBe(40);
      return '40 at once, and each has its own answer from a container of its own';
    }),
  async () => {
    // The same queue without the atomic take: it is looked at, then asked whether it is fit, then taken.
    const waiting = ['a', 'b', 'c', 'd'];
    const taken = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const first = waiting[0];
        await delay(1);
        waiting.shift();
        return first;
      }),
    );
    expect(new Set(taken).size).toBeLessThan(4);
    return `4 at once are given ${taken.join(', ')}`;
  },
  300_000,
);

attack(
  'H24',
  async () => {
    const secret = await sealFunctions(FUNCTIONS, '  secrets: [TOKEN]\n');
    const token = `token-${Math.random()}`;
    const pool = await secret.sjs.createPool({ target: secret.tag, size: 1 });
    try {
      await pool.ready();
      const [id] = secret.containers();
      const before = docker(['inspect', id ?? '']) + docker(['logs', id ?? '']) + docker(['top', id ?? '']);
      const { HostConfig, Config } = (
        JSON.parse(docker(['inspect', id ?? ''])) as [
          { HostConfig: Record<string, unknown>; Config: Record<string, unknown> },
        ]
      )[0];
      expect(HostConfig).toMatchObject({
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        Binds: [],
      });
      expect(JSON.stringify(Config)).not.toContain('TOKEN=');
      const result = await pool.call('secret', [], { secrets: { TOKEN: token } });
      expect(result).toMatchObject({ outcome: 'result', value: token });
      expect(before).not.toContain(token);
      expect(before).not.toContain(result.record.id);
      // Nobody has another stream to it, and no other container sees its processes.
      expect(await sealed.sjs.listRuns({ limit: 1 })).not.toContainEqual(
        expect.objectContaining({ id: result.record.id }),
      );
      return 'while it waits it has no network, no secret, no id of a run and no input of anybody';
    } finally {
      await pool.close();
      expect(secret.containers()).toEqual([]);
      secret.remove();
    }
  },
  () => {
    const id = docker([
      'run',
      '-d',
      '--rm',
      '-e',
      'TOKEN=abc',
      '--entrypoint',
      'node',
      sealed.tag,
      '-e',
      'setInterval(() => {}, 1000)',
    ]);
    try {
      expect(docker(['inspect', id])).toContain('TOKEN=abc');
      return 'a secret given when it was created stands in what the engine tells of it';
    } finally {
      docker(['rm', '-f', id]);
    }
  },
);
