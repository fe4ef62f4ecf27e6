import { chmod, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../../src/errors.js';
import { validateSandbox } from '../../../../src/flows/validate-sandbox.js';
import { sha256 } from '../../../../src/model/digest.js';
import type { Grants } from '../../../../src/model/grants.js';
import { parseEgress, parsePort, type Network } from '../../../../src/model/network.js';
import type { Policy } from '../../../../src/model/policy.js';
import { DEFAULT_PERMISSIONS, DEFAULT_RESOURCES, type Sandbox } from '../../../../src/model/sandbox.js';
import { noSandbox, WAIVABLE_RULES, type Origin, type Subject } from '../../../../src/model/waiver.js';
import { loadPath } from '../../../../src/stages/load/load-code.js';
import { loadSandbox } from '../../../../src/stages/load/load-sandbox.js';
import { checkFloors } from '../../../../src/stages/policy/check-floors.js';
import { checkSandbox, checkSealedPlan } from '../../../../src/stages/policy/check-sandbox.js';
import { refuseDenied, sourceBound } from '../../../../src/stages/policy/effective-policy.js';
import { loadPolicy } from '../../../../src/stages/policy/load-policy.js';
import { loadPolicies, POLICY_HEAD } from '../../../support/policy.js';
import { makeBase, makeLoaded } from '../../../support/sandbox.js';
import { cleanFolders, makeFolder, sandboxYaml } from '../../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-15T12:00:00Z');
const waive = (rule: string, fields: object = {}): string =>
  `waivers: [${JSON.stringify({ sandbox: 'job', folder: '/home/u', rule, until: '2026-06-15', reason: 'moving out', ...fields })}]\n`;
const LOW = 'limits: { memory: 64Mi }\n';

/** What is refused, or what of it is waived. */
function judge(policy: Policy, sandbox: Partial<Sandbox> = {}, now = NOW): string {
  try {
    const waived = checkSandbox(policy, makeLoaded('/home/u/sandbox.yaml', sandbox), DEFAULT_RESOURCES, now);
    return waived.length === 0 ? 'allowed' : `waived ${waived.map(({ rule }) => rule).join(' ')}`;
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    return `refused ${error.problems.map(({ message }) => message.slice(0, message.indexOf(':'))).join(' ')}`;
  }
}

describe('a waiver', () => {
  test('lets the named sandbox break the named rule until its day is over', async () => {
    const policy = await loadPolicies(LOW + waive('limits.memory'));
    expect(judge(policy)).toBe('waived limits.memory');
    expect(judge(policy, {}, Date.parse('2026-06-16T00:00:00Z'))).toBe('refused spec.resources.memory');
    expect(judge(policy, { name: 'jobs' })).toBe('refused spec.resources.memory');
    expect(judge(await loadPolicies(LOW + waive('limits.memory', { sandbox: 'j*' })))).toBe(
      'waived limits.memory',
    );
    expect(judge(await loadPolicies(LOW + waive('limits.cpu')))).toBe('refused spec.resources.memory');
    // What needs no waiver is not said to have one.
    expect(judge(await loadPolicies(waive('limits.memory')))).toBe('allowed');
  });

  test('says by whose word, why and until when; of several the one that ends last', async () => {
    const two = `waivers:
  - { sandbox: job, folder: /home/u, rule: limits.memory, until: 2026-06-20, reason: first }
  - { sandbox: "*job", folder: /home/u, rule: limits.memory, until: 2026-06-30, reason: second }
`;
    const policy = await loadPolicies(LOW + two);
    expect(checkSandbox(policy, makeLoaded('/home/u/s.yaml'), DEFAULT_RESOURCES, NOW)).toEqual([
      {
        rule: 'limits.memory',
        until: '2026-06-30',
        reason: 'second',
        from: expect.stringMatching(/etc\/policy\.yaml:6$/),
      },
    ]);
  });

  test('reaches its own file and those behind it, never one before it or a repository’s', async () => {
    const own = waive('limits.memory');
    expect(judge(await loadPolicies(LOW, undefined, own))).toBe('refused spec.resources.memory');
    expect(judge(await loadPolicies(own, undefined, LOW))).toBe('waived limits.memory');
    expect(judge(await loadPolicies(null, undefined, LOW + own))).toBe('waived limits.memory');
    expect(judge(await loadPolicies(own, LOW))).toBe('refused spec.resources.memory');
  });

  test('reaches a profile that no earlier file chose', async () => {
    const addons = { permissions: { ...DEFAULT_PERMISSIONS, addons: true } };
    const own = waive('allow.permissions');
    expect(judge(await loadPolicies(own), addons)).toBe('waived allow.permissions');
    expect(judge(await loadPolicies(null, undefined, own), addons)).toBe('waived allow.permissions');
    expect(judge(await loadPolicies('extends: restricted\n', undefined, own), addons)).toBe(
      'refused spec.permissions.addons',
    );
    expect(judge(await loadPolicies(own, undefined, 'extends: restricted\n'), addons)).toBe(
      'waived allow.permissions',
    );
  });

  test('of the network’s mode opens no host, and none opens a private address', async () => {
    const network: Network = {
      mode: 'isolated',
      egress: [parseEgress('a.test:443')!, parseEgress('db.test:5432=10.0.0.7')!],
      ports: [parsePort('0.0.0.0:3000:3000')!],
    };
    expect(judge(await loadPolicies(waive('allow.network')), { network })).toBe(
      'refused spec.network.egress spec.network.egress spec.network.ports spec.network.egress spec.network.ports',
    );
    const all = `waivers:\n${['allow.network', 'allow.egress', 'allow.ports']
      .map((rule) => `  - { sandbox: job, folder: /home/u, rule: ${rule}, until: 2026-07-01, reason: all }\n`)
      .join('')}`;
    expect(judge(await loadPolicies(all), { network })).toBe(
      'refused spec.network.egress spec.network.ports',
    );
    expect(
      judge(await loadPolicies(all), {
        network: { mode: 'isolated', egress: [parseEgress('a.test:443')!], ports: [] },
      }),
    ).toBe('waived allow.network allow.egress');
  });

  test('of each bound and list lifts exactly that', async () => {
    const bounds = {
      cpu: '10m',
      memory: '6Mi',
      pids: 1,
      files: 16,
      timeout: '1ms',
      output: 1,
      tmp: '4Ki',
      out: '4Ki',
    };
    const strict = `limits: ${JSON.stringify(bounds)}\nallow: { runtimes: [], permissions: [], secrets: [] }\n`;
    const greedy: Partial<Sandbox> = {
      filesystem: { tmpBytes: 1e6, outBytes: 1e6 },
      permissions: { ...DEFAULT_PERMISSIONS, worker: true },
      secrets: ['TOKEN'],
      network: { mode: 'isolated', egress: [parseEgress('a.test:443')!], ports: [parsePort('3000:3000')!] },
    };
    const before = judge(await loadPolicies(strict), greedy)
      .split(' ')
      .slice(1);
    const names: Record<string, string> = {
      out: 'filesystem.out',
      tmp: 'filesystem.tmp',
      'allow.network': 'network.mode',
      'allow.runtimes': 'runtime',
      'allow.permissions': 'permissions.worker',
    };
    for (const rule of WAIVABLE_RULES.filter((one) => /^(limits\.(?!source)|allow)/.test(one))) {
      const key = rule.replace(/^limits\./, '');
      const path =
        names[key] ??
        (rule.startsWith('limits.')
          ? `resources.${key}`
          : key.replace('allow.', /egress|ports/.test(key) ? 'network.' : ''));
      const after = judge(await loadPolicies(strict + waive(rule)), greedy)
        .split(' ')
        .slice(1);
      expect([rule, after]).toEqual([rule, before.filter((name) => name !== `spec.${path}`)]);
      expect(after.length).toBeLessThan(before.length);
    }
  });
});

describe('a name is its author’s word', () => {
  const PROBLEM = async (fields: object): Promise<string> => {
    try {
      await loadPolicies(
        `waivers: [${JSON.stringify({ sandbox: 'job', rule: 'limits.memory', until: '2026-06-15', reason: 'x', ...fields })}]\n`,
      );
    } catch (error) {
      if (!(error instanceof SjsError)) throw error;
      return `${error.code} ${error.message} | ${String(error.next ?? error.problems[0]?.next)}`;
    }
    return 'accepted';
  };

  test('so a waiver must say which sandbox is meant, in one way', async () => {
    expect(await PROBLEM({})).toMatch(
      /^POLICY_INVALID .*waivers\.0: it has a name alone, which any sandbox\.yaml can take.* \| say beside sandbox exactly one of folder/,
    );
    expect(await PROBLEM({ folder: '/a', seal: sha256('s') })).toMatch(
      /it has 2 of folder, repository and seal/,
    );
    for (const repository of ['job', 'sjs/job', 'r.example/job:1', `r.example/job@${sha256('x')}`])
      expect(await PROBLEM({ repository })).toMatch(
        /waivers\.0\.repository: .*expected a (whole )?repository/,
      );
    expect(await PROBLEM({ repository: 'r.example/*' })).toMatch(/POLICY_INVALID/);
    for (const good of [
      { folder: 'jobs/a' },
      { repository: 'r.example/sandboxes/job' },
      { seal: sha256('s') },
    ])
      expect(await PROBLEM(good)).toBe('accepted');
  });

  test('so a sandbox that takes it elsewhere gets nothing, in a build or by a path', async () => {
    const folder = await makeFolder({
      'policy.yaml': `${POLICY_HEAD}${LOW}${waive('limits.memory', { folder: 'jobs/importer' })}`,
      'jobs/importer/sandbox.yaml': sandboxYaml('job'),
      'jobs/evil/sandbox.yaml': sandboxYaml('job'),
      'jobs/importer/deeper/sandbox.yaml': sandboxYaml('job'),
    });
    await symlink('jobs', join(folder, 'linked'));
    await chmod(join(folder, 'policy.yaml'), 0o600);
    const policy = await loadPolicy({
      operatorFiles: [join(folder, 'policy.yaml')],
      repositoryStart: null,
      profilesDirectory: resolve('policies'),
    });
    /** What is waived, or refused. */
    const judged = async (path: string): Promise<string> => {
      try {
        const waived = validateSandbox(await loadSandbox(join(folder, path)), policy, NOW);
        return waived.map(({ rule }) => rule).join();
      } catch (error) {
        if (!(error instanceof SjsError)) throw error;
        return error.problems.map(({ message }) => message.slice(0, message.indexOf(':'))).join();
      }
    };
    for (const path of [
      'jobs/importer',
      'jobs/importer/sandbox.yaml',
      'linked/importer',
      'jobs/evil/../importer',
    ])
      expect([path, await judged(path)]).toEqual([path, 'limits.memory']);
    for (const path of ['jobs/evil', 'linked/evil', 'jobs/importer/../evil', 'jobs/importer/deeper'])
      expect([path, await judged(path)]).toEqual([path, 'spec.resources.memory']);
  });

  test('so one without a sandbox.yaml gets nothing by its folder', async () => {
    const folder = await makeFolder({ 'job.js': '', 'job/index.js': '' });
    const policy = await loadPolicies(LOW + waive('limits.memory', { folder }));
    const grants: Grants = {
      env: {},
      secrets: [],
      command: null,
      inputs: [],
      out: false,
      limits: {},
      ports: [],
      egress: [],
      language: null,
    };
    for (const path of ['job.js', 'job']) {
      const { loaded } = await loadPath(join(folder, path), grants);
      expect(loaded.sandbox.name).toBe('job');
      expect(() => checkSandbox(policy, loaded, DEFAULT_RESOURCES, NOW)).toThrow(/memory/);
    }
  });
});

describe('what is waived beside rights', () => {
  const origin: Origin = { folder: '/home/u', repositories: [], seal: null };
  const subject: Subject = { name: 'job', origin, now: NOW };

  test('floors of engine and runc', async () => {
    const policy = await loadPolicies(
      'floors: { engine: "99", runc: "99", cosign: "99" }\n' + waive('floors.engine'),
    );
    expect(checkFloors(policy, { engine: '26' }, subject)).toMatchObject([{ rule: 'floors.engine' }]);
    expect(() => checkFloors(policy, { engine: '26', runc: '1' }, subject)).toThrow(
      /^runc is 1; .*:3 asks for 99/,
    );
    expect(() => checkFloors(policy, { engine: '26' }, { ...subject, name: 'other' })).toThrow(/engine/);
    expect(() => checkFloors(policy, { engine: '26' }, noSandbox(NOW))).toThrow(/engine/);
  });

  test('denied digests, of a base as of a seal over it', async () => {
    const base = makeBase();
    const deny = `deny: { digests: ["${base.manifestDigest}"] }\n`;
    const labels = {
      formatVersion: 1,
      name: 'job',
      version: null,
      baseDigest: base.manifestDigest,
      baseVersion: null,
      packages: null,
      rebasedFrom: null,
      plan: {
        secrets: [],
        permissions: DEFAULT_PERMISSIONS,
        resources: DEFAULT_RESOURCES,
        network: { mode: 'none' },
        runtime: 'runc',
        seccompDigest: sha256('p'),
        filesystem: { tmpBytes: 4096, tmpInodes: 1, outBytes: null, outInodes: 1 },
      },
    } as const;
    const [denied, waived] = [await loadPolicies(deny), await loadPolicies(deny + waive('deny.digests'))];
    expect(() => refuseDenied(denied, base, subject)).toThrow(
      expect.objectContaining({
        code: 'BASE_DENIED',
        message: expect.stringMatching(/etc\/policy\.yaml:3\)/),
      }),
    );
    expect(refuseDenied(waived, base, subject)).toMatchObject([{ rule: 'deny.digests' }]);
    expect(() => checkSealedPlan(denied, labels, [], subject)).toThrow(/denied|denies/);
    expect(checkSealedPlan(waived, labels, [], subject)).toMatchObject([{ rule: 'deny.digests' }]);
    expect(() => checkSealedPlan(waived, labels, [], { ...subject, name: 'other' })).toThrow();
    // A gateway is there for the sandbox that it serves.
    expect(checkSealedPlan(waived, { ...labels, name: 'sjs-gateway' }, [base.digest], subject)).toHaveLength(
      1,
    );
  });

  test('the size of a source: the smallest bound that is not waived holds', async () => {
    const MI = 1024 ** 2;
    const bound = (policy: Policy) => sourceBound(policy, subject, 7);
    expect(bound(await loadPolicies('limits: { source: 1Mi }\n'))).toMatchObject({
      bytes: MI,
      policy: { line: 3 },
      waiver: null,
    });
    expect(bound(await loadPolicies(`limits: { source: 1Mi }\n${waive('limits.source')}`))).toMatchObject({
      bytes: 64 * 1024 ** 3,
      policy: null,
      waiver: { aboveBytes: MI, used: { rule: 'limits.source' } },
    });
    expect(
      bound(
        await loadPolicies(`limits: { source: 1Mi }\n${waive('limits.source')}`, 'limits: { source: 2Mi }\n'),
      ),
    ).toMatchObject({ bytes: 2 * MI, policy: { path: 'limits.source' }, waiver: { aboveBytes: MI } });
    expect(bound({ layers: [], digest: sha256('') })).toEqual({ bytes: 7, policy: null, waiver: null });
  });
});

test('a violation names both lines, each for itself', async () => {
  const policy = await loadPolicies(`${LOW}deny: { digests: ["${sha256('x')}"] }\n`);
  const base = { image: 'r.example/node', digest: sha256('x') };
  const loaded = { ...makeLoaded('/s/sandbox.yaml', { base }), locate: () => ({ line: 9, column: 2 }) };
  const error = (() => {
    try {
      return checkSandbox(policy, loaded, DEFAULT_RESOURCES, NOW);
    } catch (caught) {
      return caught as SjsError;
    }
  })();
  expect(error).toMatchObject({
    code: 'POLICY_VIOLATION',
    message: 'the policy refuses spec.base.image, spec.base.digest, spec.resources.memory',
    problems: [
      {
        location: { line: 9, path: 'spec.base.image' },
        message: expect.stringMatching(/no policy of the operator trusts r\.example\/node/),
      },
      { location: { line: 9, path: 'spec.base.digest' }, policy: { line: 4, path: 'deny.digests.0' } },
      { location: { line: 9, path: 'spec.resources.memory' }, policy: { line: 3, path: 'limits.memory' } },
    ],
  });
});
