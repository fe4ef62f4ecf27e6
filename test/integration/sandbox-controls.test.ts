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

/** Runs code that prints one JSON value; returns it. What the controls forbid is tried in test/attack. */
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
  test('the hard limits are those that were asked for', async () => {
    const limits = await ask<string>(`read('/proc/self/limits')`);
    expect(limits).toMatch(/Max core file size +1 +1 /);
    expect(limits).toMatch(/Max locked memory +65536 +65536 /);
    expect(limits).toMatch(/Max msgqueue size +0 +0 /);
    expect(limits).toMatch(/Max open files +1024 +1024 /);
    expect(limits).toMatch(/Max cpu time +25 +25 /);
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
});
