import pc from 'picocolors';
import { expect, test } from '@jest/globals';
import { formatLockChanges, formatPlan } from '../../../src/cli/plan-view.js';
import type { Sjs } from '../../../src/index.js';

type BuildPlan = Awaited<ReturnType<Sjs['plan']>>;

const digest = (digit: string): `sha256:${string}` => `sha256:${digit.repeat(64)}`;

const plan = {
  file: '/home/u/job/sandbox.yaml',
  name: 'job',
  version: '1.0.0',
  base: {
    image: 'r.example.com/base/node',
    version: '24.2.0',
    digest: digest('1'),
    manifestDigest: digest('2'),
    signer: digest('3'),
    trustedBy: '/etc/sjs/policy.yaml:4',
  },
  dockerfile: 'FROM r.example.com/base/node\nCOPY . /\n',
  user: '65532:65532',
  command: ['node', '/app/index.js'],
  args: ['a b'],
  env: ['TZ=UTC'],
  rights: {
    secrets: ['API_TOKEN'],
    permissions: { childProcess: false, worker: true, addons: false, wasi: false },
    resources: {
      milliCpu: 1500,
      memoryBytes: 256 * 1024 ** 2,
      pids: 64,
      files: 1024,
      timeoutMs: 30_000,
      outputBytes: 1024 ** 2,
    },
    filesystem: { tmpBytes: 64 * 1024 ** 2, tmpInodes: 4096, outBytes: 4 * 1024 ** 2, outInodes: 4096 },
    network: { mode: 'none' },
    runtime: 'runc',
    seccompDigest: digest('4'),
  },
  source: { root: '/home/u/job', entries: 3, bytes: 120, withheld: ['.env'] },
  dependencies: null,
  inputs: digest('5'),
  lock: {},
  waivers: [{ rule: 'limits.memory', until: '2027-01-31', reason: 'the \u001b[2Jmove', from: '/p.yaml:7' }],
  lockChanges: [
    { field: 'base.version', from: '24.1.0', to: '24.2.0' },
    { field: 'base.signer', from: digest('3'), to: digest('6') },
    { field: 'packages.node_modules/a', from: 'a@1.0.0 sha512-AA', to: 'a@1.1.0 sha512-BB' },
    { field: 'packages.node_modules/b', from: 'b@1.0.0 sha512-AA', to: 'b@1.0.0 sha512-BB' },
  ],
  comparedWith: 'sjs/job:0.9.0-aaaaaaaaaaaa',
  rightChanges: [
    {
      right: 'resources.memoryBytes',
      from: 64 * 1024 ** 2,
      to: 256 * 1024 ** 2,
      widened: true,
      tightened: false,
    },
    { right: 'resources.timeoutMs', from: 60_000, to: 30_000, widened: false, tightened: true },
    { right: 'permissions.worker', from: false, to: true, widened: true, tightened: false },
    { right: 'secrets', from: ['OLD'], to: ['NEW'], widened: true, tightened: true },
  ],
  baseChanges: [{ what: 'version', from: '24.1.0', to: '24.2.0' }],
  packageChanges: [
    { what: 'node_modules/x/node_modules/c', from: null, to: 'c@3.0.0 sha512-CC' },
    { what: 'node_modules/d', from: 'd@4.0.0 sha512-DD', to: null },
  ],
} as unknown as BuildPlan;

test('a plan says what a reviewer has to know, with wider rights standing out without colour', () => {
  const text = formatPlan(plan, pc.createColors(false));
  for (const line of [
    'r.example.com/base/node@sha256:1',
    'trusted by /etc/sjs/policy.yaml:4',
    'left out, as they look like secrets: .env',
    '  FROM r.example.com/base/node',
    '  node /app/index.js "a b"',
    '  writes to     /tmp (64Mi) and /out (4Mi)',
    '  Node may use  worker',
    '  memory   256Mi',
    '            base version: 24.1.0 -> 24.2.0',
    '  LOOK      base signer: the key sha256:3333',
    '            package changed a@1.0.0 -> a@1.1.0',
    '  LOOK      package OTHER CONTENT of the same version: b@1.0.0: sha512-AA -> sha512-BB',
    'Changed base, against sjs/job:0.9.0-aaaaaaaaaaaa',
    '  added c@3.0.0 (node_modules/x/node_modules/c)',
    '  removed d@4.0.0',
    'Changed rights, against sjs/job:0.9.0-aaaaaaaaaaaa',
    '  WIDENED   memory: 64Mi -> 256Mi',
    '  WIDENED   may start worker threads',
    '  WIDENED   is given the secret NEW',
    '  tightened is no longer given the secret OLD',
    '  tightened time: 1m -> 30s',
  ]) {
    expect(text).toContain(line);
  }
});

test('of a new lock the base is said and how many packages; of one that is there each that came', () => {
  const base = { field: 'base.version', from: null, to: '24.2.0' };
  const came = { field: 'packages.node_modules/a', from: null, to: 'a@1.0.0 sha512-AA' };
  const rest = ['lockVersion', 'formatVersion'].map((field) => ({ field, from: null, to: 1 }));
  const lines = (changes: BuildPlan['lockChanges']): readonly string[] =>
    formatLockChanges(changes, pc.createColors(false));
  expect(lines([base, came, ...rest])).toEqual(['base version: none -> 24.2.0', 'packages: 1']);
  expect(lines([came])).toEqual(['package added a@1.0.0']);
});

test('nothing of the author steers the terminal', () => {
  const text = formatPlan({ ...plan, args: ['\x1b[2J'], env: ['A=\u202e'] }, pc.createColors(false));
  // eslint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\x1b\u202e]/);
});
