import { chmod, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { SjsError } from '../../../../src/errors.js';
import { baseNameOf } from '../../../../src/model/base-name.js';
import { sha256 } from '../../../../src/model/digest.js';
import type { Policy } from '../../../../src/model/policy.js';
import { parseEgress, parsePort, type Network } from '../../../../src/model/network.js';
import { DEFAULT_PERMISSIONS, DEFAULT_RESOURCES, type Sandbox } from '../../../../src/model/sandbox.js';
import type { SealedLabels } from '../../../../src/model/sealed-image.js';
import { parseSandbox } from '../../../../src/stages/load/load-sandbox.js';
import { addTrustedBase } from '../../../../src/stages/policy/add-trusted-base.js';
import { checkFloors } from '../../../../src/stages/policy/check-floors.js';
import {
  checkHostAddresses,
  checkSandbox,
  checkSealedPlan,
  judgeSandbox,
  subjectOf,
} from '../../../../src/stages/policy/check-sandbox.js';
import {
  defaultBase,
  defaultResources,
  effectiveLimits,
  effectiveRetention,
  findDenied,
} from '../../../../src/stages/policy/effective-policy.js';
import { explainPolicy } from '../../../../src/stages/policy/explain-policy.js';
import { loadPolicy } from '../../../../src/stages/policy/load-policy.js';
import { parsePolicy } from '../../../../src/stages/policy/parse-policy.js';
import { trustRequirement } from '../../../../src/stages/policy/trust-requirement.js';
import { codeOf, loadPolicies, POLICY_HEAD, signerRule } from '../../../support/policy.js';
import { makeLoaded } from '../../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const HEAD = POLICY_HEAD;
const PEM = '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----';
const PROFILES = resolve('policies');
const NOW = Date.parse('2026-06-15T12:00:00Z');
const SUBJECT = subjectOf(makeLoaded('/home/u/sandbox.yaml'), NOW);
const [load, rule] = [loadPolicies, signerRule];

describe('layers', () => {
  test('without any file the restricted profile holds, and trusts nothing', async () => {
    const policy = await load(null);
    expect(policy.layers.map(({ origin }) => origin)).toEqual(['profile']);
    expect(effectiveLimits(policy)).toMatchObject({ memoryBytes: 4 * 1024 ** 3, timeoutMs: 900_000 });
    expect(codeOf(() => trustRequirement(policy, 'r.example/base/node'))).toBe('BASE_UNTRUSTED');
  });

  test('bounds are minimal, allow-lists intersect, denials unite', async () => {
    const digest = (name: string) => sha256(name);
    const policy = await load(
      `limits: { memory: 1Gi, pids: 100 }\nallow: { secrets: [A, B] }\ndeny: { digests: ["${digest('x')}"] }\n`,
      `limits: { memory: 2Gi, pids: 50 }\nallow: { secrets: [B, C] }\ndeny: { digests: ["${digest('y')}"] }\n`,
    );
    expect(effectiveLimits(policy)).toMatchObject({ memoryBytes: 1024 ** 3, pids: 50 });
    expect(
      ['x', 'y', 'z'].map((name) => findDenied(policy, [digest(name)], SUBJECT).refusals.length > 0),
    ).toEqual([true, true, false]);
    const secrets = explainPolicy(policy, NOW).values.find(({ key }) => key === 'allow.secrets');
    expect(secrets).toMatchObject({
      value: ['B'],
      from: [
        expect.stringMatching(/etc\/policy\.yaml:\d+$/),
        expect.stringMatching(/repo\/\.sjs\/policy\.yaml:\d+$/),
      ],
    });
  });

  test('extends chooses the profile; the strictest of several', async () => {
    expect(effectiveLimits(await load('extends: browser\n'))).toMatchObject({ memoryBytes: 16 * 1024 ** 3 });
    expect(
      effectiveLimits(await load('extends: browser\n', undefined, 'extends: networked\n')),
    ).toMatchObject({ memoryBytes: 8 * 1024 ** 3 });
  });

  test('a browser job beyond the restricted limits is told of the profile that it needs, which allows no more than that', async () => {
    const job = makeLoaded('/home/u/sandbox.yaml', {
      permissions: { ...DEFAULT_PERMISSIONS, childProcess: true },
      filesystem: { tmpBytes: 2 * 1024 ** 3, outBytes: 2 * 1024 ** 3 },
      network: { mode: 'isolated', ports: [], egress: [parseEgress('example.com:443')!] },
    });
    const resources = {
      ...DEFAULT_RESOURCES,
      milliCpu: 8000,
      memoryBytes: 8 * 1024 ** 3,
      pids: 2048,
      timeoutMs: 1_800_000,
    };
    const judge = async (text: string | null, loaded = job) =>
      judgeSandbox(await load(text), loaded, resources, NOW).violations.map(({ problem }) => problem);
    const refused = await judge(null);
    expect(refused.map(({ message }) => message.split(':')[0])).toEqual([
      'spec.resources.cpu',
      'spec.resources.memory',
      'spec.resources.pids',
      'spec.resources.timeout',
      'spec.filesystem.tmp',
      'spec.filesystem.out',
      'spec.network.mode',
      'spec.network.egress',
    ]);
    for (const { next } of refused.slice(0, 6)) expect(next).toMatch(/write extends: browser into /);
    expect(await judge('extends: browser\n')).toEqual([]);

    const greedy = (sandbox: Partial<Sandbox>) =>
      judge('extends: browser\n', makeLoaded('/home/u/sandbox.yaml', sandbox));
    const network = { mode: 'isolated', ports: [parsePort('3000:3000')!], egress: [] } as const;
    expect(await greedy({ network })).toMatchObject([
      { message: expect.stringContaining('network.ports: 127.0.0.1:3000 is not') },
    ]);
    for (const permission of ['addons', 'wasi']) {
      expect(await greedy({ permissions: { ...DEFAULT_PERMISSIONS, [permission]: true } })).toMatchObject([
        { message: expect.stringContaining(`permissions.${permission}: is not allowed`) },
      ]);
    }
  });

  test('a repository can only tighten', async () => {
    for (const text of [
      'extends: browser\n',
      'defaults: { base: { image: r.example/x, version: "1" } }\n',
      'retention: { age: 1h }\n',
    ]) {
      await expect(load(null, text)).rejects.toMatchObject({
        code: 'POLICY_INVALID',
        message: expect.stringContaining('only tighten'),
      });
    }
  });

  test('the user’s defaults hold over the machine’s', async () => {
    const policy = await load(
      'defaults: { base: { image: r.example/a, version: "1" }, resources: { memory: 64Mi, pids: 10 } }\n',
      undefined,
      'defaults: { base: { image: r.example/b, version: "2" }, resources: { memory: 32Mi } }\n',
    );
    expect(defaultBase(policy, 'node')).toEqual({ image: 'r.example/b', version: '2' });
    expect(defaultResources(policy)).toEqual({ memoryBytes: 32 * 1024 ** 2, pids: 10 });
  });

  test('retention is the strictest that is stated, else 30 days and 5 GiB', async () => {
    expect(effectiveRetention(await load(null))).toEqual({
      ageMs: 30 * 24 * 3_600_000,
      bytes: 5 * 1024 ** 3,
    });
    expect(effectiveRetention(await load('retention: { age: 1440h, size: 1Gi }\n'))).toEqual({
      ageMs: 60 * 24 * 3_600_000,
      bytes: 1024 ** 3,
    });
  });
});

describe('trust', () => {
  test('every layer that states bases must have a matching rule, and an operator’s must be among them', async () => {
    const operator = `bases:\n${rule('r.example/base/*')}`;
    expect(trustRequirement(await load(operator), 'r.example/base/node').alternatives).toHaveLength(1);
    expect(
      trustRequirement(await load(operator, `bases:\n${rule('r.example/base/node')}`), 'r.example/base/node')
        .alternatives,
    ).toHaveLength(2);
    expect(
      codeOf(
        await load(operator, `bases:\n${rule('r.example/base/other')}`).then(
          (policy) => () => trustRequirement(policy, 'r.example/base/node'),
        ),
      ),
    ).toBe('BASE_UNTRUSTED');
    expect(
      codeOf(
        await load(null, `bases:\n${rule('r.example/base/node')}`).then(
          (policy) => () => trustRequirement(policy, 'r.example/base/node'),
        ),
      ),
    ).toBe('BASE_UNTRUSTED');
    expect(
      codeOf(
        await load(operator).then((policy) => () => trustRequirement(policy, 'r.example/base/deep/node')),
      ),
    ).toBe('BASE_UNTRUSTED');
    expect(
      codeOf(
        await load(operator).then(
          (policy) => () => trustRequirement(policy, 'r.example.evil.test/base/node'),
        ),
      ),
    ).toBe('BASE_UNTRUSTED');
  });

  test('mirrors count as places, and the transparency log is required unless it is said not to be', async () => {
    const policy = await load(
      `bases:\n${rule('r.example/base/*', '    mirrors: ["mirror.local/base/*"]\n')}`,
    );
    const [[found] = []] = trustRequirement(policy, 'mirror.local/base/node').alternatives;
    expect(found).toMatchObject({
      transparencyLog: 'required',
      allowSetuidFiles: false,
      keys: [{ notBefore: null, notAfter: null }],
      location: { line: 4 },
    });
  });
});

describe('files', () => {
  const at = (file: string) => ({
    operatorFiles: [],
    explicitFile: file,
    repositoryStart: null,
    profilesDirectory: PROFILES,
  });

  test('one that is named must be there and readable', async () => {
    const folder = await makeFolder();
    await expect(loadPolicy(at(join(folder, 'nowhere.yaml')))).rejects.toMatchObject({
      code: 'POLICY_UNREADABLE',
    });
    await expect(loadPolicy(at(folder))).rejects.toMatchObject({ code: 'POLICY_UNREADABLE' });
    await symlink('loop', join(folder, 'loop'));
    await expect(loadPolicy({ ...at(join(folder, 'loop')), operatorFiles: [] })).rejects.toMatchObject({
      code: 'POLICY_UNREADABLE',
    });
  });

  test.each([0o620, 0o602, 0o666])('one that others can write (mode %o) is refused', async (mode) => {
    const file = join(await makeFolder({ 'policy.yaml': HEAD }), 'policy.yaml');
    await chmod(file, mode);
    await expect(loadPolicy(at(file))).rejects.toMatchObject({
      code: 'POLICY_WRITABLE_BY_OTHERS',
      next: expect.stringContaining('chmod'),
    });
    await chmod(file, 0o600);
    await loadPolicy(at(file));
  });

  test('one in a folder that others can write is refused, also behind a link; a sticky folder is not', async () => {
    const folder = await makeFolder({ 'open/policy.yaml': HEAD });
    const file = join(folder, 'open/policy.yaml');
    await chmod(file, 0o600);
    await symlink(file, join(folder, 'link.yaml'));
    await chmod(join(folder, 'open'), 0o777);
    for (const path of [file, join(folder, 'link.yaml')]) {
      await expect(loadPolicy(at(path))).rejects.toMatchObject({ code: 'POLICY_WRITABLE_BY_OTHERS' });
    }
    await chmod(join(folder, 'open'), 0o1777);
    await loadPolicy(at(file));
  });

  test('a link to nothing is a policy that is gone, not one that was never written', async () => {
    const folder = await makeFolder({ 'repo/x': '' });
    const sources = { ...at(''), explicitFile: undefined };
    const { explicitFile: _none, ...optional } = sources;
    await symlink(join(folder, 'gone.yaml'), join(folder, 'policy.yaml'));
    await symlink(join(folder, 'gone'), join(folder, 'sjs'));
    for (const file of ['policy.yaml', 'sjs/policy.yaml']) {
      await expect(loadPolicy({ ...optional, operatorFiles: [join(folder, file)] })).rejects.toMatchObject({
        code: 'POLICY_UNREADABLE',
      });
    }
    await loadPolicy({ ...optional, operatorFiles: [join(folder, 'never/policy.yaml')] });
  });

  test('one below a folder that others can write is refused, however deep', async () => {
    const folder = await makeFolder({ 'open/mine/deep/policy.yaml': HEAD });
    const file = join(folder, 'open/mine/deep/policy.yaml');
    await chmod(file, 0o600);
    await loadPolicy(at(file));
    await chmod(join(folder, 'open'), 0o777);
    await expect(loadPolicy(at(file))).rejects.toMatchObject({
      code: 'POLICY_WRITABLE_BY_OTHERS',
      next: `chmod go-w ${join(folder, 'open')}`,
    });
  });

  test('a repository’s file that is a link, a pipe or a device is refused, and what it names is not shown', async () => {
    for (const target of ['/etc/passwd', '/dev/zero', 'nowhere']) {
      const folder = await makeFolder({ '.sjs/x': '' });
      await symlink(target, join(folder, '.sjs/policy.yaml'));
      const { explicitFile: _none, ...sources } = at('');
      const error = (await loadPolicy({ ...sources, repositoryStart: folder }).catch(
        (caught: unknown) => caught,
      )) as SjsError;
      expect(error).toMatchObject({ code: 'POLICY_UNREADABLE', next: expect.any(String) });
      expect(`${error.message} ${JSON.stringify(error.problems)}`).not.toContain('root:');
    }
  });

  test('a file of /proc has no size, and is not taken whole', async () => {
    await expect(loadPolicy(at('/proc/kallsyms'))).rejects.toMatchObject({
      code: expect.stringMatching(/^POLICY_/),
    });
  });

  test.each([
    ['no date', 'notBefore: "2026-13-45T00:00:00Z"', /notBefore/],
    ['30 February', 'notAfter: "2026-02-30T00:00:00Z"', /notAfter/],
    [
      'an end before the beginning',
      'notBefore: "2027-01-01T00:00:00Z"\n          notAfter: "2026-01-01T00:00:00Z"',
      /never valid/,
    ],
  ])('a key with %s is refused when the policy is read', async (_name, dates, message) => {
    const text = `${HEAD}bases:\n${rule('r.example/x').trimEnd()}\n          ${dates}\n`;
    const error = (await parsePolicy(Buffer.from(text), '/p.yaml', 'operator').catch(
      (caught: unknown) => caught,
    )) as SjsError;
    expect(error).toMatchObject({ code: 'POLICY_INVALID', message: expect.stringMatching(message) });
  });

  test('a private key in place of a public one is refused and not shown', async () => {
    const secret = 'eyJrZGYiOnsibmFtZSI6InNjcnlwdCJ9';
    const text = `${HEAD}bases:\n${rule('r.example/x')
      .replaceAll('PUBLIC', 'PRIVATE')
      .replace(/MFkw.*/, secret)}`;
    const error = (await parsePolicy(Buffer.from(text), '/p.yaml', 'operator').catch(
      (caught: unknown) => caught,
    )) as SjsError;
    expect(error).toMatchObject({ code: 'POLICY_INVALID' });
    expect(JSON.stringify([error.message, error.problems])).not.toContain(secret.slice(0, 8));
  });

  test.each([
    ['an unknown key', 'limit: { memory: 1Gi }', 'POLICY_INVALID', /did you mean limits\?/],
    ['a bad quantity', 'limits: { memory: lots }', 'POLICY_INVALID', /./],
    [
      'a key that is none',
      'bases:\n  - repository: r.example/x\n    verify: { keys: [{ publicKey: hello }] }',
      'POLICY_INVALID',
      /./,
    ],
    [
      'bases without keys',
      'bases:\n  - repository: r.example/x\n    verify: { keys: [] }',
      'POLICY_INVALID',
      /./,
    ],
    [
      'B06 keyless',
      'bases:\n  - repository: r.example/x\n    verify: { keys: [], issuer: x }',
      'POLICY_INVALID',
      /./,
    ],
    [
      'B08 insecure flags',
      `bases:\n${rule('r.example/x', '      insecure-ignore-tlog: true\n')}`,
      'POLICY_INVALID',
      /./,
    ],
    ['egress of no pattern', 'allow: { egress: ["A b"] }', 'POLICY_INVALID', /./],
    ['custom templates', 'allow: { templates: [mine] }', 'NOT_YET', /./],
    ['no YAML', 'limits: [', 'YAML_SYNTAX', /./],
  ])('%s is refused', async (_name, text, code, next) => {
    const error = (await parsePolicy(Buffer.from(`${HEAD}${text}\n`), '/p.yaml', 'operator').catch(
      (caught: unknown) => caught,
    )) as SjsError;
    expect(error).toMatchObject({ code });
    expect(error.problems[0]?.next ?? error.next ?? '').toMatch(next);
  });
});

test('a text that was found valid is not validated again; another byte is', async () => {
  const known = new Set<string>();
  const asked: string[] = [];
  const valid = {
    has: (key: string) => (asked.push(key), Promise.resolve(known.has(key))),
    add: (key: string) => (known.add(key), Promise.resolve()),
  };
  const parse = (text: string, origin: 'operator' | 'repository' = 'operator') =>
    parsePolicy(Buffer.from(HEAD + text), '/p.yaml', origin, valid);
  const first = await parse('limits: { pids: 5 }\n');
  expect(await parse('limits: { pids: 5 }\n')).toMatchObject({ limits: first.limits });
  expect([known.size, new Set(asked).size]).toEqual([1, 1]);
  await expect(parse('limits: { pidz: 5 }\n')).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  await parse('defaults: {}\n');
  await expect(parse('defaults: {}\n', 'repository')).rejects.toMatchObject({ code: 'POLICY_INVALID' });
});

describe('what is checked', () => {
  const check = async (operator: string, sandbox: Partial<Sandbox> = {}, resources = DEFAULT_RESOURCES) =>
    checkSandbox(await load(operator), makeLoaded('/home/u/sandbox.yaml', sandbox), resources, NOW);
  const labels = (changes: Partial<SealedLabels['plan']> = {}): SealedLabels => ({
    formatVersion: 1,
    name: 'job',
    version: null,
    baseDigest: sha256('base'),
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
      filesystem: { tmpBytes: 1024 ** 2, tmpInodes: 1, outBytes: null, outInodes: 1 },
      ...changes,
    },
  });

  test('the defaults pass', async () => {
    await check('');
    checkSealedPlan(await load(''), labels(), [sha256('index')], SUBJECT);
    checkSealedPlan(await load(''), labels(), [], SUBJECT);
  });

  describe('a network', () => {
    const isolated = (egress: string[], ports: string[] = []): Network => ({
      mode: 'isolated',
      egress: egress.map((text) => parseEgress(text)!),
      ports: ports.map((text) => parsePort(text)!),
    });
    const refused = async (operator: string, network: Network): Promise<string> =>
      check(operator, { network }).then(
        () => 'allowed',
        (error: SjsError) =>
          [error.message, ...error.problems.map(({ message, next }) => `${message}; ${next}`)].join('\n'),
      );

    test('is none, unless the operator says so', async () => {
      expect(await refused('', isolated([]))).toMatch(/network\.mode: isolated is not allowed/);
      expect(await refused('', isolated(['a.test:443']))).toMatch(
        /write extends: networked into \S+etc\/policy\.yaml/,
      );
      expect(await refused('extends: networked\n', isolated([]))).toBe('allowed');
      expect(await refused('extends: networked\n', isolated(['a.test:443', 'b.test:80=8.8.8.8']))).toBe(
        'allowed',
      );
      expect(await refused('extends: networked\n', isolated([], ['3000:3005']))).toBe('allowed');
    });

    test('of code without a sandbox.yaml was asked for with flags', async () => {
      const made = makeLoaded('/home/u/job.js', { network: isolated(['a.test:443']) });
      const loaded = { ...made, isAdHoc: true as const };
      const policy = await load('limits: { pids: 8 }\n');
      expect(() => checkSandbox(policy, loaded, DEFAULT_RESOURCES, NOW)).toThrow(
        /^the policy refuses (?=.*--pids)(?=.*the network)/,
      );
    });

    test('goes where every list allows it', async () => {
      const policy =
        'extends: networked\nallow: { egress: ["*.example.com:443"], ports: ["127.0.0.1:3*"] }\n';
      expect(await refused(policy, isolated(['a.example.com:443'], ['3000:3005']))).toBe('allowed');
      expect(await refused(policy, isolated(['a.example.com:80']))).toMatch(
        /a\.example\.com:80 is not allowed/,
      );
      expect(await refused(policy, isolated(['evil.test:443']))).toMatch(/evil\.test:443 is not allowed/);
      expect(await refused(policy, isolated([], ['8080:8080']))).toMatch(/127\.0\.0\.1:8080 is not allowed/);
    });

    test('a name that is allowed is not allowed at an address that the sandbox pins it to', async () => {
      const pinned = isolated(['api.test:443=93.184.216.34']);
      const named = 'extends: networked\nallow: { egress: ["api.test:443"] }\n';
      expect(await refused(named, isolated(['api.test:443']))).toBe('allowed');
      expect(await refused(named, pinned)).toMatch(/api\.test:443=93\.184\.216\.34 is not allowed/);
      expect(await refused(named.replace('api.test:443', '*.test:*'), pinned)).toMatch(/is not allowed/);
      expect(await refused(named.replace(':443"', ':443=93.*"'), pinned)).toBe('allowed');
      expect(await refused('extends: networked\n', pinned)).toBe('allowed');
    });

    test('a private address, or one that others reach, is for an operator alone to allow', async () => {
      const inside = isolated(['db.test:5432=10.0.0.7']);
      const open = isolated([], ['0.0.0.0:3000:3005']);
      expect(await refused('extends: networked\n', inside)).toMatch(
        /10\.0\.0\.7 is a private address.*add "db\.test:5432=10\.0\.0\.7" to allow\.egress/,
      );
      expect(await refused('extends: networked\nallow: { egress: ["*"] }\n', inside)).toMatch(
        /private address/,
      );
      expect(await refused('extends: networked\nallow: { egress: ["db.test:5432=10.*"] }\n', inside)).toBe(
        'allowed',
      );
      expect(
        await refused('extends: networked\nallow: { egress: ["db.test:5432=10.1.*"] }\n', inside),
      ).toMatch(/is not allowed/);
      expect(await refused('extends: networked\n', open)).toMatch(/0\.0\.0\.0 can be reached by others/);
      expect(await refused('extends: networked\nallow: { ports: ["0.0.0.0:3000"] }\n', open)).toBe('allowed');
    });

    test('so is a public address of the machine itself', async () => {
      const pinned = isolated(['a.test:80=8.8.8.8', 'b.test:80=8.8.4.4']);
      const judge = async (operator: string): Promise<string> => {
        const policy = await load(`extends: networked\n${operator}`);
        try {
          checkHostAddresses(policy, pinned, ['8.8.4.4']);
          return 'allowed';
        } catch (error) {
          return (error as SjsError).message;
        }
      };
      expect(await judge('')).toMatch(/8\.8\.4\.4 is an address of this machine/);
      expect(await judge('allow: { egress: ["b.test:80", "a.test:80"] }\n')).toMatch(/of this machine/);
      expect(await judge('allow: { egress: ["b.test:80=8.8.4.4"] }\n')).toBe('allowed');
    });

    test('in a label is judged anew', async () => {
      const policy = await load('');
      expect(() =>
        checkSealedPlan(policy, labels({ network: isolated(['a.test:443']) }), [sha256('index')], SUBJECT),
      ).toThrow(
        expect.objectContaining({
          problems: [
            expect.objectContaining({
              message: expect.stringMatching(/^network\.mode: isolated is not allowed/),
            }),
            expect.objectContaining({
              message: expect.stringMatching(/^network\.egress: a\.test:443 is not/),
            }),
          ],
        }),
      );
    });
  });

  test.each([
    ['limits: { cpu: 500m }', 'resources.cpu'],
    ['limits: { memory: 64Mi }', 'resources.memory'],
    ['limits: { pids: 8 }', 'resources.pids'],
    ['limits: { files: 64 }', 'resources.files'],
    ['limits: { timeout: 1s }', 'resources.timeout'],
    ['limits: { output: 1Ki }', 'resources.output'],
    ['limits: { tmp: 1Mi }', 'filesystem.tmp'],
    ['allow: { network: [] }', 'network.mode'],
    ['allow: { runtimes: [] }', 'runtime'],
  ])('%s refuses the defaults, with both places', async (operator, key) => {
    const error = (await check(`${operator}\n`).catch((caught: unknown) => caught)) as SjsError;
    expect(error).toMatchObject({
      code: 'POLICY_VIOLATION',
      problems: [{ location: { file: '/home/u/sandbox.yaml', line: 1, path: `spec.${key}` } }],
    });
    expect(error.message).toMatch(/etc\/policy\.yaml:3\)/);
  });

  test('permissions and secrets', async () => {
    const permissions = { ...DEFAULT_PERMISSIONS, addons: true };
    await expect(check('', { permissions })).rejects.toMatchObject({
      code: 'POLICY_VIOLATION',
      message: expect.stringContaining('permissions.addons'),
    });
    await check('extends: networked\n', { permissions });
    await check('allow: { secrets: ["API_*"] }\n', { secrets: ['API_TOKEN'] });
    await expect(check('allow: { secrets: ["API_*"] }\n', { secrets: ['DB_TOKEN'] })).rejects.toMatchObject({
      code: 'POLICY_VIOLATION',
    });
  });

  test('all violations at once, of a sealed image too', async () => {
    const policy = await load('limits: { memory: 64Mi, pids: 8, out: 1Ki }\n').catch(() =>
      load('limits: { memory: 64Mi, pids: 8, out: 4Ki }\n'),
    );
    const error = (() => {
      try {
        checkSealedPlan(
          policy,
          labels({ filesystem: { tmpBytes: 1, tmpInodes: 1, outBytes: 1024 ** 2, outInodes: 1 } }),
          [sha256('index')],
          SUBJECT,
        );
      } catch (caught) {
        return caught as SjsError;
      }
      return undefined;
    })();
    expect(error?.problems.map(({ location }) => location?.path).sort()).toEqual([
      'filesystem.out',
      'resources.memory',
      'resources.pids',
    ]);
  });

  test('a denied base stops its seals', async () => {
    const policy = await load(`deny: { digests: ["${sha256('base')}"] }\n`);
    expect(codeOf(() => checkSealedPlan(policy, labels(), [sha256('index')], SUBJECT))).toBe('BASE_DENIED');
    const byIndex = await load(`deny: { digests: ["${sha256('index')}"] }\n`);
    expect(codeOf(() => checkSealedPlan(byIndex, labels(), [sha256('index')], SUBJECT))).toBe('BASE_DENIED');
    checkSealedPlan(byIndex, labels(), [sha256('other')], SUBJECT);
    // Of a seal that was imported nobody here knows it.
    expect(codeOf(() => checkSealedPlan(byIndex, labels(), [], SUBJECT))).toBe('BASE_DENIED');
  });

  test('floors refuse what is older, or says nothing', async () => {
    const policy = await load('floors: { engine: 28.0.0, runc: 1.3.6 }\n');
    checkFloors(policy, { engine: '28.5.2+dfsg4', runc: '1.3.6' }, SUBJECT);
    expect(codeOf(() => checkFloors(policy, { engine: '26.1.5+dfsg1', runc: '1.4.0' }, SUBJECT))).toBe(
      'POLICY_VIOLATION',
    );
    expect(codeOf(() => checkFloors(policy, { engine: '28.0.0', runc: null }, SUBJECT))).toBe(
      'POLICY_VIOLATION',
    );
  });
});

describe('patterns that are made to cost', () => {
  test('of secrets and of repositories', async () => {
    const hostile = `allow: { secrets: ["${'*a'.repeat(60)}*b"] }\nbases:\n${rule(`${'**/'.repeat(100)}z`)}`;
    const policy = await load(`bases:\n${rule('**')}`, hostile);
    const started = performance.now();
    expect(codeOf(() => trustRequirement(policy, `r.example/${'a/'.repeat(200)}a`))).toBe('BASE_UNTRUSTED');
    const loaded = makeLoaded('/home/u/sandbox.yaml', { secrets: ['a'.repeat(128)] });
    expect(codeOf(() => checkSandbox(policy, loaded, DEFAULT_RESOURCES, NOW))).toBe('POLICY_VIOLATION');
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe('what is explained', () => {
  const values = (policy: Policy) =>
    Object.fromEntries(explainPolicy(policy, NOW).values.map(({ key, value }) => [key, value]));

  test('the profile, the defaults in force and how each base must verify', async () => {
    expect(values(await load(null))).toMatchObject({
      extends: 'restricted',
      'defaults.resources.memory': '256Mi',
      'limits.memory': '4Gi',
    });
    const policy = await load(
      `extends: networked\ndefaults: { resources: { memory: 64Mi } }\nbases:\n${rule('r.example/base/*', '    mirrors: ["m.example/*"]\n')}`,
    );
    expect(values(policy)).toMatchObject({
      extends: 'networked',
      'defaults.resources.memory': '64Mi',
      bases: 'r.example/base/* or m.example/*; 1 key; transparency log required',
    });
  });

  test('of patterns that overlap, what both allow', async () => {
    const policy = await load(
      'allow: { secrets: ["API_*", DB, "*_A"] }\n',
      'allow: { secrets: [API_TOKEN, "D*", "B_*"] }\n',
    );
    expect(values(policy)['allow.secrets']).toEqual([
      'API_TOKEN',
      'API_* & D*',
      'API_* & B_*',
      'DB',
      '*_A & D*',
      '*_A & B_*',
    ]);
  });
});

test('custom templates can be forbidden, and no sandbox can declare one', async () => {
  expect((await load('allow: { templates: [] }\n')).layers[0]?.allow).toEqual({ templates: [] });
  const yaml =
    'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: a }\nspec: { language: node, source: ., entrypoint: a.js, template: mine }\n';
  await expect(parseSandbox(Buffer.from(yaml), '/x/sandbox.yaml')).rejects.toMatchObject({
    code: 'SANDBOX_INVALID',
    message: expect.stringContaining('spec.template: there is no such key'),
  });
});

test('limits.out: 0 means no /out', async () => {
  const policy = await load('limits: { out: 0 }\n');
  checkSandbox(policy, makeLoaded('/home/u/sandbox.yaml', {}), DEFAULT_RESOURCES, NOW);
  const loaded = makeLoaded('/home/u/sandbox.yaml', { filesystem: { tmpBytes: 4096, outBytes: 4096 } });
  expect(codeOf(() => checkSandbox(policy, loaded, DEFAULT_RESOURCES, NOW))).toBe('POLICY_VIOLATION');
});

describe('adding trust', () => {
  const trust = { repository: 'r.example/base/node', version: '24.1.0', publicKey: `${PEM}\n` };
  const read = (text: string) => parsePolicy(Buffer.from(text), '/p.yaml', 'operator');

  test('writes a new policy with the default base', async () => {
    const layer = await read(addTrustedBase(null, trust, '/p.yaml'));
    expect(layer).toMatchObject({
      defaults: { base: { image: 'r.example/base/node', version: '>=24 <25' } },
      bases: [{ repository: 'r.example/base/node', transparencyLog: 'none' }],
    });
  });

  test('a base with a browser is the default of those alone who declare one', async () => {
    const first = addTrustedBase(null, { ...trust, repository: 'r.example/base/chromium' }, '/p.yaml');
    const chromium = { image: 'r.example/base/chromium', version: '>=24 <25' };
    expect((await read(first)).defaults).toEqual({ bases: { chromium } });
    const policy: Policy = {
      layers: [await read(addTrustedBase(first, trust, '/p.yaml'))],
      digest: sha256(''),
    };
    expect(defaultBase(policy, 'node')).toEqual({ image: 'r.example/base/node', version: '>=24 <25' });
    expect(defaultBase(policy, baseNameOf(makeLoaded('/x', { browser: 'chromium' }).sandbox))).toEqual(
      chromium,
    );
    expect(explainPolicy(policy, NOW).values.map(({ key }) => key)).toContain('defaults.bases.chromium');
  });

  test('keeps comments and everything else, and adds nothing twice', async () => {
    const before = `# mine\n${HEAD}limits: { memory: 1Gi } # small\nbases:\n    # first\n${rule('r.example/other').replace(/^/gm, '  ').trimEnd()}\n`;
    const after = addTrustedBase(before, trust, '/p.yaml');
    for (const comment of ['# mine', '# small', '# first']) expect(after).toContain(comment);
    expect((await read(after)).bases?.map(({ repository }) => repository).sort()).toEqual([
      'r.example/base/node',
      'r.example/other',
    ]);
    expect(addTrustedBase(after, trust, '/p.yaml')).toBe(after);
  });

  test('an existing default stays', async () => {
    const after = addTrustedBase(
      `${HEAD}defaults: { base: { image: r.example/x, version: "1" } }\n`,
      trust,
      '/p.yaml',
    );
    expect((await read(after)).defaults.base).toEqual({ image: 'r.example/x', version: '1' });
  });

  test('a base that is called after another language becomes the default of that', async () => {
    const of = (name: string, version: string) => ({
      ...trust,
      repository: `r.example/base/${name}`,
      version,
    });
    const python = addTrustedBase(null, of('python', '3.11.2'), '/p.yaml');
    const deno = addTrustedBase(python, of('deno', '2.9.5'), '/p.yaml');
    const { defaults } = await read(addTrustedBase(deno, trust, '/p.yaml'));
    expect(defaults).toEqual({
      base: { image: 'r.example/base/node', version: '>=24 <25' },
      bases: {
        python: { image: 'r.example/base/python', version: '>=3 <4' },
        deno: { image: 'r.example/base/deno', version: '>=2 <3' },
      },
    });
  });

  test('a comment above the first rule stays with it', () => {
    const after = addTrustedBase(
      `${HEAD}bases:\n  # the other\n${rule('r.example/other')}`,
      trust,
      '/p.yaml',
    );
    expect(after).toMatch(/# the other\n {2}- repository: "r\.example\/other"/);
  });

  test('a default base is added beside other defaults, where it has a place', async () => {
    const block = addTrustedBase(`${HEAD}defaults:\n  resources: { pids: 3 }\n`, trust, '/p.yaml');
    expect((await read(block)).defaults).toEqual({
      base: { image: 'r.example/base/node', version: '>=24 <25' },
      resources: { pids: 3 },
    });
    const flow = await read(
      addTrustedBase(`${HEAD}defaults: { resources: { pids: 3 } }\n`, trust, '/p.yaml'),
    );
    expect(flow.defaults).toEqual({ resources: { pids: 3 } });
    expect(flow.bases).toHaveLength(1);
  });

  test.each(['', '\n\n', '# only a comment\n', `${HEAD}bases:\n`])(
    'an empty policy (%j) becomes one that is valid',
    async (before) => {
      const after = addTrustedBase(before, trust, '/p.yaml');
      expect(after).toContain(before.trim());
      expect((await read(after)).bases).toHaveLength(1);
    },
  );

  test('line ends stay as they are', async () => {
    const after = addTrustedBase(`${HEAD}limits: { pids: 9 }\n`.replaceAll('\n', '\r\n'), trust, '/p.yaml');
    expect(after.replaceAll('\r\n', '')).not.toContain('\n');
    expect((await read(after)).bases).toHaveLength(1);
  });

  test('what cannot be extended safely is refused with what to add by hand', () => {
    for (const text of [
      `${HEAD}bases: []\n`,
      `${HEAD}bases: x\n`,
      `{ apiVersion: sjs/v1, kind: Policy }\n`,
      '- 1\n',
    ]) {
      expect(() => addTrustedBase(text, trust, '/p.yaml')).toThrow(
        expect.objectContaining({ code: 'POLICY_INVALID', next: expect.stringContaining('publicKey') }),
      );
    }
  });
});

test.each([
  ['bases: [{ repository: r.example/a }]', 'verify is missing'],
  ['bases: [{ repository: r.example/a, verify: { transparencyLog: none } }]', 'names nobody who signs'],
  ['defaults: { base: { version: ">=24" } }', 'image is missing'],
])('%s is a problem like any other', async (line, words) => {
  await expect(load(`${line}\n`)).rejects.toMatchObject({
    code: 'POLICY_INVALID',
    message: expect.stringContaining(words),
  });
});
