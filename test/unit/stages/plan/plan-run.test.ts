import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../../src/model/digest.js';
import type { RunRequest } from '../../../../src/model/run-plan.js';
import { DEFAULT_RESOURCES, type Sandbox } from '../../../../src/model/sandbox.js';
import { computeSeal } from '../../../../src/model/sealed-image.js';
import { fitsMember, planMember, planRun } from '../../../../src/stages/plan/plan-run.js';
import { renderDockerfile } from '../../../../src/stages/render/render-dockerfile.js';
import { checkSeal } from '../../../../src/stages/seal/check-seal.js';
import { makeBase, makeSandbox } from '../../../support/sandbox.js';

const PROFILE = '{}';
const REQUEST: RunRequest = { args: null, env: {}, secrets: {}, limits: {} };

function sealed(
  sandbox: Partial<Sandbox> = {},
  baseEnv: readonly string[] = ['PATH=/bin', 'LD_PRELOAD=/evil'],
) {
  const base = makeBase({ config: { Env: baseEnv } });
  const { expectedConfig } = renderDockerfile(
    readFileSync('templates/node.Dockerfile', 'utf8'),
    makeSandbox(sandbox),
    base,
    DEFAULT_RESOURCES,
    sha256(PROFILE),
  );
  const image = {
    imageId: 'sha256:1',
    platform: base.platform,
    diffIds: [...base.diffIds, sha256('a')],
    config: expectedConfig,
    unknownConfigFields: [],
    tags: [],
    sizeBytes: 1,
  };
  const entry = {
    formatVersion: 1,
    seal: computeSeal(image),
    tag: 'sjs/job:1',
    name: 'job',
    version: '1.0.0',
    imageId: 'sha256:1',
    inputs: sha256('i'),
    base: { image: 'x/y', digest: base.digest, manifestDigest: base.manifestDigest, version: null },
    createdAt: '2026-01-01T00:00:00Z',
  };
  return checkSeal(image, entry);
}

test('takes everything from the seal, and unsets what the image had to empty', () => {
  const plan = planRun(sealed({ args: ['a'], env: { TZ: 'UTC' } }), REQUEST, PROFILE);
  expect(plan).toMatchObject({
    user: '65532:65532',
    args: ['a'],
    workingDirectory: '/app',
    env: { PATH: '/bin', HOME: '/tmp', TZ: 'UTC' },
    unsetEnv: ['LD_PRELOAD'],
    resources: DEFAULT_RESOURCES,
    network: { mode: 'none' },
    expectsSecrets: false,
    seccompProfile: PROFILE,
  });
});

test('knows whether the image was sealed elsewhere', () => {
  const here = sealed();
  const imported = { at: '2026-01-01T00:00:00Z', trustedBy: 'hand' } as const;
  expect(planRun(here, REQUEST, PROFILE).isImported).toBe(false);
  const elsewhere = { ...here, entry: { ...here.entry, imported } };
  expect(planRun(elsewhere, REQUEST, PROFILE).isImported).toBe(true);
});

test('arguments of the run take the place of the sealed ones', () => {
  expect(planRun(sealed({ args: ['a'] }), { ...REQUEST, args: [] }, PROFILE).args).toEqual([]);
});

describe('limits', () => {
  test('tighten', () => {
    const plan = planRun(
      sealed(),
      { ...REQUEST, limits: { memoryBytes: 64 * 1024 ** 2, timeoutMs: 1000 } },
      PROFILE,
    );
    expect(plan.resources).toEqual({ ...DEFAULT_RESOURCES, memoryBytes: 64 * 1024 ** 2, timeoutMs: 1000 });
  });

  test.each([
    ['memoryBytes', '--memory'],
    ['milliCpu', '--cpu'],
    ['pids', '--pids'],
    ['files', '--files'],
    ['timeoutMs', '--timeout'],
    ['outputBytes', '--output-limit'],
  ] as const)('%s never widens', (key, flag) => {
    const limits = { [key]: DEFAULT_RESOURCES[key] + 1 };
    expect(() => planRun(sealed(), { ...REQUEST, limits }, PROFILE)).toThrow(
      expect.objectContaining({
        code: 'RIGHTS_WIDENED',
        message: expect.stringContaining(flag),
        next: expect.stringContaining('sandbox.yaml'),
      }),
    );
  });
});

test.each([
  ['memoryBytes', '--memory 1 is less than the least, 6Mi'],
  ['files', '--files 1 is less than the least, 16'],
  ['milliCpu', '--cpu 1m is less than the least, 10m'],
] as const)('%s below what a sandbox can declare is refused before the engine is asked', (key, message) => {
  expect(() => planRun(sealed(), { ...REQUEST, limits: { [key]: 1 } }, PROFILE)).toThrow(
    expect.objectContaining({ code: 'USAGE', message }),
  );
});

test.each([0, -1, NaN, Infinity, 0.5])('a limit of %p is none, and refused', (value) => {
  const request = { ...REQUEST, limits: { memoryBytes: value } };
  expect(() => planRun(sealed(), request, PROFILE)).toThrow(
    expect.objectContaining({ code: 'RIGHTS_WIDENED' }),
  );
});

describe('environment', () => {
  test.each([
    'NODE_OPTIONS',
    'node_options',
    'LD_PRELOAD',
    'PATH',
    'SJS_X',
    'HOME',
    'A=B',
    '',
    'X\n',
    '1A',
    'GLIBC_TUNABLES',
  ])('%j is refused', (name) => {
    expect(() => planRun(sealed(), { ...REQUEST, env: { [name]: 'x' } }, PROFILE)).toThrow(
      expect.objectContaining({ code: 'ENV_REFUSED' }),
    );
  });

  test('other names are taken, line breaks in values too', () => {
    expect(planRun(sealed(), { ...REQUEST, env: { PEM: 'a\nb' } }, PROFILE).env).toMatchObject({
      PEM: 'a\nb',
    });
    expect(() => planRun(sealed(), { ...REQUEST, env: { X: 'a\0b' } }, PROFILE)).toThrow(
      expect.objectContaining({ code: 'ENV_REFUSED' }),
    );
  });
});

test('a declared secret is no plain variable, which record and engine would have in plain text', () => {
  const request = { ...REQUEST, env: { TOKEN: 'x' }, secrets: { TOKEN: 'y' } };
  expect(() => planRun(sealed({ secrets: ['TOKEN'] }), request, PROFILE)).toThrow(
    expect.objectContaining({ code: 'ENV_REFUSED', next: expect.stringContaining('--secret TOKEN') }),
  );
});

test('secrets must be declared and given', () => {
  const image = sealed({ secrets: ['TOKEN'] });
  expect(planRun(image, { ...REQUEST, secrets: { TOKEN: 's' } }, PROFILE)).toMatchObject({
    expectsSecrets: true,
    secrets: { TOKEN: 's' },
  });
  expect(() => planRun(image, REQUEST, PROFILE)).toThrow(expect.objectContaining({ code: 'SECRET_MISSING' }));
  expect(() => planRun(sealed(), { ...REQUEST, secrets: { TOKEN: 's' } }, PROFILE)).toThrow(
    expect.objectContaining({ code: 'SECRET_UNDECLARED' }),
  );
});

test('another seccomp profile than the sealed one is refused', () => {
  expect(() => planRun(sealed(), REQUEST, '{"defaultAction":"SCMP_ACT_ALLOW"}')).toThrow(
    expect.objectContaining({ code: 'SEAL_PROFILE_MISMATCH' }),
  );
});

test('a variable named __proto__ reaches the run', () => {
  const env = Object.fromEntries([['__proto__', 'x']]) as Record<string, string>;
  expect(Object.entries(planRun(sealed({ env }), REQUEST, PROFILE).env)).toContainEqual(['__proto__', 'x']);
  expect(Object.entries(planRun(sealed(), { ...REQUEST, env }, PROFILE).env)).toContainEqual([
    '__proto__',
    'x',
  ]);
});

describe('a call', () => {
  const call = { export: 'quote' };

  test('starts what calls functions, with the flags and the program of the seal, and no arguments of it', () => {
    const run = planRun(sealed({ args: ['a'] }), REQUEST, PROFILE);
    const plan = planRun(sealed({ args: ['a'] }), { ...REQUEST, call }, PROFILE);
    const at = run.command.indexOf('--') + 1;
    expect(plan.command).toEqual([...run.command.slice(0, at), '/.sjs/call.cjs', run.command[at]]);
    expect(plan.args).toEqual([]);
  });

  test('of what has nothing that calls is refused: another command, or a seal of an older sjs', () => {
    const refused = expect.objectContaining({ code: 'NOT_CALLABLE' }) as unknown as Error;
    const other = sealed({ command: ['/usr/local/bin/other', 'x'] });
    expect(() => planRun(other, { ...REQUEST, call }, PROFILE)).toThrow(refused);
    const image = sealed();
    const { call: version, ...older } = image.labels.plan;
    expect(version).toBe(1);
    const before = { ...image, labels: { ...image.labels, plan: older } };
    expect(() => planRun(before, { ...REQUEST, call }, PROFILE)).toThrow(refused);
    expect(planRun(before, REQUEST, PROFILE).command).toEqual(planRun(image, REQUEST, PROFILE).command);
  });
});

describe('a container that is started ahead', () => {
  test('has what calls functions for its command, and no secret yet', () => {
    const member = planMember(sealed({ secrets: ['TOKEN'] }), PROFILE, false, {
      memoryBytes: 64 * 1024 ** 2,
    });
    expect(member).toMatchObject({ secrets: {}, expectsSecrets: true, args: ['ahead'] });
    expect(member.command).toContain('/.sjs/call.cjs');
    expect(member.resources.memoryBytes).toBe(64 * 1024 ** 2);
    expect(planMember(sealed(), PROFILE, true, {}).args).toEqual(['preload']);
  });

  test('is refused where each run has something of its own', () => {
    const network = { mode: 'isolated', ports: [], egress: [] } as const;
    expect(() => planMember(sealed({ network }), PROFILE, false, {})).toThrow(
      expect.objectContaining({ code: 'POOL_REFUSED' }),
    );
    const filesystem = { tmpBytes: 4096, outBytes: 4096 };
    expect(() => planMember(sealed({ filesystem }), PROFILE, false, {})).toThrow(
      expect.objectContaining({ code: 'POOL_REFUSED' }),
    );
  });

  test('fits what asks for no more than a shorter time or less output', () => {
    const member = planMember(sealed(), PROFILE, false, {});
    const fits = (request: Partial<RunRequest>): boolean =>
      fitsMember(planRun(sealed(), { ...REQUEST, ...request }, PROFILE), member);
    expect(fits({ limits: { timeoutMs: 1000, outputBytes: 10 } })).toBe(true);
    expect(fits({ limits: { memoryBytes: 64 * 1024 ** 2 } })).toBe(false);
    expect(fits({ limits: { pids: 8 } })).toBe(false);
    expect(fits({ env: { LANG: 'C' } })).toBe(false);
  });
});
