import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { makeRunId, openEngine, type EngineWorld, type PlanOverrides } from '../support/engine-run.js';

let world: EngineWorld;
beforeAll(async () => {
  world = await openEngine();
});
afterAll(async () => {
  expect(await world.engine.listRuns(world.owner.home)).toEqual([]);
  await world.close();
});

const MIB = 1024 ** 2;

/** Runs code that prints one JSON value; returns it. */
async function ask<T>(expression: string, given: PlanOverrides = {}): Promise<T> {
  const prelude = `const fs = require('fs'), os = require('os');
    const tries = (f) => { try { return f() ?? 'ok' } catch (e) { return e.code } };
    const read = (f) => fs.readFileSync(f, 'utf8');`;
  const print = `require('fs').writeSync(1, JSON.stringify(${expression}))`;
  const { stdout, stderr, outcome } = await world.run({ code: prelude + print, ...given });
  if (outcome.exitCode !== 0) throw new Error(`exit ${outcome.exitCode}: ${stderr}`);
  return JSON.parse(stdout.toString()) as T;
}

/** Every setting of ATTACKS (c) as inspect shows it. */
const expectedHost = () => ({
  Privileged: false,
  CapAdd: [],
  CapDrop: ['ALL'],
  GroupAdd: [],
  SecurityOpt: ['no-new-privileges=true', `seccomp=${world.seccompProfile}`],
  ReadonlyRootfs: true,
  Binds: [],
  VolumesFrom: [],
  Tmpfs: { '/tmp': `rw,noexec,nosuid,nodev,size=${4 * MIB},nr_inodes=256,mode=1777` },
  IpcMode: 'none',
  PidMode: '',
  UTSMode: '',
  UsernsMode: '',
  CgroupnsMode: 'private',
  CgroupParent: '',
  Runtime: 'runc',
  NetworkMode: 'none',
  PortBindings: {},
  PublishAllPorts: false,
  Dns: ['127.0.0.1'],
  DnsSearch: ['.'],
  ExtraHosts: [],
  Links: null,
  Memory: 256 * MIB,
  MemorySwap: 256 * MIB,
  OomKillDisable: false,
  OomScoreAdj: 500,
  NanoCpus: 1_000_000_000,
  PidsLimit: 64,
  Devices: [],
  DeviceRequests: [],
  DeviceCgroupRules: [],
  LogConfig: { Type: 'local', Config: { 'max-file': '2', compress: 'false' } },
  RestartPolicy: { Name: 'no' },
  AutoRemove: false,
  Init: true,
});

const MORE = ['Mounts', 'Ulimits', 'MaskedPaths', 'ReadonlyPaths', 'ShmSize', 'ConsoleSize'];

function unnamed(hostConfig: object): string[] {
  const known = [...Object.keys(expectedHost()), ...MORE];
  const isEmpty = (value: unknown): boolean =>
    !value || (typeof value === 'object' && Object.keys(value).length === 0);
  return Object.entries(hostConfig)
    .filter(([key, value]) => !known.includes(key) && !isEmpty(value))
    .map(([key]) => key);
}

test('the engine has every setting of ATTACKS (c), by its own word', async () => {
  const runId = makeRunId();
  let inspected: unknown;
  const given = { code: 'console.log("up"); setTimeout(() => {}, 500)', filesystem: { outBytes: MIB } };
  await world.run(given, {
    runId,
    onStdout: async () => {
      inspected = await world.client.docker.getContainer(sandboxName(runId)).inspect();
    },
  });
  const { Config, HostConfig, Image, Mounts, AppArmorProfile } = inspected as Record<string, unknown>;
  expect(Image).toBe(world.imageId);
  expect(AppArmorProfile).not.toBe('unconfined');
  expect(Config).toMatchObject({
    User: '65532:65532',
    Tty: false,
    OpenStdin: true,
    StdinOnce: true,
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    Hostname: 'sandbox',
    Domainname: '',
    Volumes: null,
  });
  expect(HostConfig).toMatchObject(expectedHost());
  // What this list does not name must be empty, also in engines to come.
  expect(unnamed(HostConfig as object)).toEqual([]);
  const host = HostConfig as { MaskedPaths: string[]; ReadonlyPaths: string[]; Ulimits: unknown[] };
  expect(host.MaskedPaths).toEqual(expect.arrayContaining(['/proc/kcore', '/proc/keys', '/sys/firmware']));
  expect(host.ReadonlyPaths).toEqual(expect.arrayContaining(['/proc/sys', '/proc/sysrq-trigger']));
  expect(host.Ulimits).toHaveLength(6);
  expect(Mounts).toMatchObject([{ Type: 'volume', Destination: '/out', RW: true }]);
});

describe('from the inside', () => {
  test('user, groups, capabilities, no-new-privileges, seccomp (K01, K02)', async () => {
    const seen = await ask<{ ids: unknown; status: string }>(
      `{ ids: [process.getuid(), process.getgid(), process.getgroups()], status: read('/proc/self/status') }`,
    );
    expect(seen.ids).toEqual([65532, 65532, [65532]]);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(seen.status).toContain(`${set}:\t0000000000000000`);
    }
    expect(seen.status).toContain('NoNewPrivs:\t1');
    expect(seen.status).toContain('Seccomp:\t2');
  });

  test('namespaces: only its own processes, an init as PID 1, its own host name, loopback alone', async () => {
    const seen = await ask<{ pids: string[]; init: string; host: string; nets: string[]; cgroup: string }>(
      `{ pids: fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n)), init: read('/proc/1/comm').trim(),
         host: os.hostname(), nets: Object.keys(os.networkInterfaces()), cgroup: read('/proc/self/cgroup') }`,
    );
    expect(seen.pids).toHaveLength(2);
    expect(seen.init).toBe('docker-init');
    expect(seen.host).toBe('sandbox');
    expect(seen.nets).toEqual(['lo']);
    expect(seen.cgroup).not.toContain('docker');
  });

  test('no network and nothing of the host’s resolver', async () => {
    const { stdout } = await world.run({
      code: `const net = require('net'); const s = net.connect(53, '10.255.255.53');
        s.on('error', (e) => console.log(e.code)); s.on('connect', () => console.log('connected'));
        console.log(require('fs').readFileSync('/etc/resolv.conf', 'utf8').match(/^(nameserver|search).*$/gm).join())`,
    });
    expect(stdout.toString()).toMatch(/^nameserver 127\.0\.0\.1(,search \.)?\n(ENETUNREACH|EPERM|EACCES)\n$/);
  });

  test('the root is read-only; /tmp is the one place to write to (F01)', async () => {
    const paths = [
      '/x',
      '/app',
      '/etc/x',
      '/dev/x',
      '/dev/shm/x',
      '/dev/mqueue/x',
      '/run/x',
      '/out/x',
      '/var/tmp/x',
    ];
    const seen = await ask<string[]>(
      `${JSON.stringify(paths)}.map((p) => tries(() => fs.writeFileSync(p, 'x')))`,
    );
    expect(seen.filter((result) => result === 'ok')).toEqual([]);
    expect(await ask(`tries(() => fs.writeFileSync('/tmp/x', 'x'))`)).toBe('ok');
  });

  test('/tmp runs nothing, and ends at its size and its inodes (F02, F03, F04)', async () => {
    const seen = await ask<{ exec: string; full: string; bytes: number; many: string; files: number }>(
      `(() => { const r = {};
        fs.writeFileSync('/tmp/s', '#!/usr/local/bin/node\\n', { mode: 0o755 });
        r.exec = tries(() => require('child_process').execFileSync('/tmp/s'));
        fs.rmSync('/tmp/s');
        r.bytes = 0; r.full = tries(() => { for (;;) { fs.appendFileSync('/tmp/f', Buffer.alloc(65536)); r.bytes += 65536 } });
        fs.rmSync('/tmp/f');
        r.files = 0; r.many = tries(() => { for (;;) { fs.writeFileSync('/tmp/' + r.files, ''); r.files++ } });
        return r })()`,
    );
    expect(seen).toMatchObject({ exec: 'EACCES', full: 'ENOSPC', many: 'ENOSPC' });
    expect(seen.bytes).toBeLessThanOrEqual(4 * MIB);
    expect(seen.bytes).toBeGreaterThan(3 * MIB);
    expect(seen.files).toBeLessThan(256);
  });

  test('open files end at the limit (R07), with the hard limits that were asked for', async () => {
    const seen = await ask<{ code: string; count: number; limits: string }>(
      `(() => { let count = 0; const code = tries(() => { for (;;) { fs.openSync('/dev/null'); count++ } });
        return { code, count, limits: '' } })()`,
      { resources: { files: 100 } },
    );
    expect(seen.code).toBe('EMFILE');
    expect(seen.count).toBeLessThan(100);
    const limits = await ask<string>(`read('/proc/self/limits')`);
    expect(limits).toMatch(/Max core file size +1 +1 /);
    expect(limits).toMatch(/Max locked memory +65536 +65536 /);
    expect(limits).toMatch(/Max msgqueue size +0 +0 /);
    expect(limits).toMatch(/Max open files +1024 +1024 /);
    expect(limits).toMatch(/Max cpu time +25 +25 /);
  });

  test('processes end at the limit (R02)', async () => {
    const seen = await ask<{ code: string; count: number }>(
      `(() => { let count = 0; const { spawn } = require('child_process'); let code;
        for (; count < 100 && !code; count++) { const c = spawn('/usr/local/bin/node', ['-e', 'setTimeout(()=>{},9000)']);
          c.on('error', () => {}); if (c.pid === undefined) code = 'EAGAIN' }
        process.nextTick(() => process.exit(0)); return { code, count } })()`,
      { resources: { pids: 32 } },
    );
    expect(seen.code).toBe('EAGAIN');
    expect(seen.count).toBeLessThan(32);
  });

  test('cpu is held to its share (R01)', async () => {
    const { outcome } = await world.run({
      code: `const w = require('worker_threads'); for (let i = 0; i < 4; i++) new w.Worker('for(;;);', { eval: true })`,
      resources: { milliCpu: 250, timeoutMs: 3500 },
    });
    expect(outcome.end).toBe('timed-out');
    expect(outcome.usage!.cpuMs).toBeLessThan(0.25 * 3500 * 1.3);
  });

  test('the environment is exactly the plan’s; what the image sets can be unset (CIS 4.10)', async () => {
    const seen = await ask<Record<string, string>>('process.env', {
      env: { A: '$PATH "\'\\' },
      unsetEnv: ['NODE_VERSION'],
    });
    expect(seen).toEqual({
      PATH: '/usr/local/bin:/usr/bin:/bin',
      A: '$PATH "\'\\',
      HOME: '/nonexistent',
      HOSTNAME: 'sandbox',
    });
    expect(await ask('process.env.NODE_VERSION')).toMatch(/^\d/);
  });

  test('devices: the harmless ones, no console; cgroups read-only (K12, K16)', async () => {
    const seen = await ask<{ dev: string[]; console: boolean; cgroup: string; null: boolean }>(
      `{ dev: fs.readdirSync('/dev').sort(), console: fs.existsSync('/dev/console'),
         null: fs.statSync('/dev/null').isCharacterDevice(),
         cgroup: tries(() => fs.mkdirSync('/sys/fs/cgroup/memory/x')) }`,
    );
    expect(seen.console).toBe(false);
    expect(seen.null).toBe(true);
    expect(seen.cgroup).not.toBe('ok');
    expect(seen.dev.join()).toBe('fd,full,mqueue,null,ptmx,pts,random,stderr,stdin,stdout,tty,urandom,zero');
  });

  test('an orphan is reaped by init, and dies with the run (R11, R12)', async () => {
    const { outcome } = await world.run({
      code: `require('child_process').spawn('/usr/local/bin/node', ['-e', 'setInterval(()=>{},1000)'], { detached: true, stdio: 'ignore' }).unref()`,
    });
    expect(outcome).toMatchObject({ end: 'exited', exitCode: 0 });
    expect(outcome.durationMs).toBeLessThan(5000);
  });
});
