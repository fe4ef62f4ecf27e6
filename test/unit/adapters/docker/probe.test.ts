import { expect, test } from '@jest/globals';
import { readFacts } from '../../../../src/adapters/docker/probe.js';

const version = {
  Version: '29.6.0',
  KernelVersion: '6.12.1',
  Os: 'linux',
  Arch: 'arm64',
  Components: [
    { Name: 'Engine', Version: '29.6.0' },
    { Name: 'runc', Version: '1.4.3' },
  ],
};
const info = {
  OSType: 'linux',
  MemoryLimit: true,
  SwapLimit: true,
  PidsLimit: true,
  CpuCfsPeriod: true,
  CpuCfsQuota: true,
  CgroupVersion: '2',
  SecurityOptions: ['name=apparmor', 'name=seccomp,profile=builtin'],
  Runtimes: { runc: {} },
  Plugins: { Log: ['local'], Volume: ['local'] },
};

test('an engine that has everything', () => {
  expect(readFacts(version, info)).toEqual({
    name: 'Docker Engine',
    version: '29.6.0',
    runtime: 'runc',
    runtimeVersion: '1.4.3',
    kernel: '6.12.1',
    platform: { os: 'linux', architecture: 'arm64' },
    portWarning: null,
    warnings: [],
    missingControls: [],
  });
});

test('an engine before 28 does not keep published ports to this machine', () => {
  expect(readFacts({ ...version, Version: '27.5.1' }, info).portWarning).toMatch(/27\.5\.1 .* neighbours/);
});

test.each<[object, string]>([
  [{ SecurityOptions: ['name=apparmor'] }, 'seccomp'],
  [{ MemoryLimit: false }, 'memory-limit'],
  [{ SwapLimit: undefined }, 'no-swap'],
  [{ PidsLimit: false }, 'pids-limit'],
  [{ CpuCfsQuota: false }, 'cpu-limit'],
  [{ OSType: 'windows' }, 'private-namespaces'],
  [{ Plugins: { Log: [], Volume: ['local'] } }, 'reaper'],
  [{ Plugins: { Log: ['local'], Volume: null } }, 'out-limit'],
  [{ Runtimes: { toString: {} } }, 'init'],
])('%j lacks a control', (change, control) => {
  const { missingControls } = readFacts(version, { ...info, ...change });
  expect(missingControls.map((missing) => missing.control)).toEqual([control]);
});

test('an empty answer lacks them all: nothing is taken for granted', () => {
  expect(readFacts({}, {}).missingControls).toHaveLength(9);
  expect(readFacts({}, {}).platform).toBeNull();
});

test.each([
  ['26.1.5+dfsg1', '1.1.5+ds1', 2],
  ['29.5.1', '1.3.5', 1],
  ['29.5.0', '1.3.6', 1],
  ['30.0.0', '1.5.0', 0],
  ['strange', '1.4.2', 2],
])('engine %s with runc %s: %d warnings', (engine, runc, count) => {
  const answer = { ...version, Version: engine, Components: [{ Name: 'runc', Version: runc }] };
  expect(readFacts(answer, info).warnings).toHaveLength(count);
});

test('cgroup v1 and no mandatory access control are warned of', () => {
  const { warnings } = readFacts(version, {
    ...info,
    CgroupVersion: '1',
    SecurityOptions: ['name=seccomp,profile=builtin'],
  });
  expect(warnings.join()).toMatch(/cgroup v1.*AppArmor/);
});

test('what is not of its type counts as missing', () => {
  const facts = readFacts(
    { Version: 7, KernelVersion: {}, Components: [null, { Name: 1 }, { Name: 'runc', Version: [] }] },
    {
      SecurityOptions: 'name=seccomp',
      Plugins: { Log: 'local', Volume: [7] },
      Runtimes: 'runc',
      MemoryLimit: 'yes',
    },
  );
  expect(facts).toMatchObject({ version: 'unknown', runtimeVersion: null, kernel: null });
  expect(facts.missingControls).toHaveLength(9);
});
