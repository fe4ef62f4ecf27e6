import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { policyCheckVerb } from '../../../src/cli/verbs/policy-check.js';
import { policyTrustVerb } from '../../../src/cli/verbs/policy-trust.js';
import type { TargetTools } from '../../../src/flows/find-target.js';
import { systemClock } from '../../../src/ports/clock.js';
import { checkPolicy } from '../../../src/flows/check-policy.js';
import { checkMachine } from '../../../src/flows/check-machine.js';
import { fingerprintOf } from '../../../src/stages/verify/trusted-keys.js';
import { createPolicyFile } from '../../../src/adapters/store/policy-file.js';
import { listPublishers, trustPublisher } from '../../../src/flows/trust-publisher.js';
import { parsePolicy } from '../../../src/stages/policy/parse-policy.js';
import { createSjs, type Sjs } from '../../../src/index.js';
import { loadPolicies, POLICY_HEAD, signerRule } from '../../support/policy.js';
import { cleanFolders, makeFolder } from '../../support/world.js';
import { runVerbWith } from '../cli/fake-context.js';

cleanFolders();

const yaml = (name: string, more = ''): string =>
  `apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: ${name} }\nspec:\n  language: node\n  source: .\n  entrypoint: index.js\n${more}`;

/** An instance whose only operator's policy is the given text. */
async function instance(
  policy: string,
  files: Record<string, string> = {},
): Promise<{ sjs: Sjs; folder: string }> {
  const folder = await makeFolder({ ...files, 'policy.yaml': POLICY_HEAD + policy });
  await chmod(join(folder, 'policy.yaml'), 0o600);
  const env = {
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, 'none'),
    DOCKER_HOST: 'unix:///nowhere.sock',
    PATH: '/nowhere',
  };
  return {
    sjs: createSjs({ env, policyFile: join(folder, 'policy.yaml'), home: join(folder, 'home') }),
    folder,
  };
}

describe('policy check', () => {
  test('judges every sandbox of a folder without an engine: all violations, both lines, exit status 4', async () => {
    const { sjs, folder } = await instance('limits: { memory: 64Mi, pids: 8 }\nallow: { secrets: [] }\n', {
      'jobs/good/sandbox.yaml': yaml('good', '  resources: { memory: 32Mi, pids: 4 }\n'),
      'jobs/bad/sandbox.yaml': yaml('bad', '  secrets: [TOKEN]\n  resources: { memory: 128Mi, pids: 4 }\n'),
      'jobs/tight/.sjs/policy.yaml': `${POLICY_HEAD}limits: { pids: 2 }\n`,
      'jobs/tight/sandbox.yaml': yaml('tight', '  resources: { memory: 32Mi, pids: 4 }\n'),
    });
    const { status, stdout, stderr } = await runVerbWith(
      'policy check',
      policyCheckVerb,
      [join(folder, 'jobs')],
      sjs,
    );
    expect(status).toBe(4);
    expect(stdout.split('\n').map((line) => line.replace(/^.*jobs\//, ''))).toEqual([
      'bad/sandbox.yaml: refused',
      'good/sandbox.yaml: allowed',
      'tight/sandbox.yaml: refused',
      '',
    ]);
    expect(stderr).toMatch(
      /bad\/sandbox\.yaml:8:\d+ spec\.secrets: the secret TOKEN is not allowed \(.*\/policy\.yaml:4\)/,
    );
    expect(stderr).toMatch(
      /bad\/sandbox\.yaml:9:\d+ spec\.resources\.memory: 128Mi is more than the 64Mi .*\/policy\.yaml:3\)/,
    );
    expect(stderr).toMatch(
      /tight\/sandbox\.yaml:8:\d+ spec\.resources\.pids: 4 is more than the 2 .*\/tight\/\.sjs\/policy\.yaml:3\)/,
    );

    const json = await runVerbWith(
      'policy check',
      policyCheckVerb,
      ['--json', join(folder, 'jobs/bad')],
      sjs,
    );
    expect([json.status, JSON.parse(json.stdout)]).toMatchObject([
      4,
      {
        allowed: false,
        targets: [
          {
            kind: 'sandbox',
            isAllowed: false,
            error: {
              code: 'POLICY_VIOLATION',
              problems: [
                {
                  location: { line: 9, path: 'spec.resources.memory' },
                  policy: { line: 3, path: 'limits.memory' },
                },
                { location: { line: 8, path: 'spec.secrets' }, policy: { line: 4, path: 'allow.secrets' } },
              ],
            },
          },
        ],
      },
    ]);
    expect(
      (await runVerbWith('policy check', policyCheckVerb, [join(folder, 'jobs/good')], sjs)).status,
    ).toBe(0);
  });

  test('says what is waived, what has ended and what ends soon', async () => {
    const day = (offset: number): string =>
      new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
    const { sjs, folder } = await instance(
      `limits: { pids: 8 }
waivers:
  - { sandbox: job, folder: job, rule: limits.pids, until: ${day(3)}, reason: "the new queue" }
  - { sandbox: job, folder: job, rule: limits.memory, until: ${day(-3)}, reason: "gone" }
  - { sandbox: job, folder: job, rule: limits.cpu, until: ${day(30)}, reason: "later" }
`,
      { 'job/sandbox.yaml': yaml('job') },
    );
    const { status, stdout, stderr } = await runVerbWith(
      'policy check',
      policyCheckVerb,
      [join(folder, 'job')],
      sjs,
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /: allowed\n {2}limits\.pids is waived until .*: the new queue \(.*\/policy\.yaml:5\)\n$/,
    );
    expect(stderr).toMatch(/waiver of limits\.pids for job ends on/);
    expect(stderr).toMatch(/waiver of limits\.memory for job ended on .* counts no longer/);
    expect(stderr).not.toContain('limits.cpu');
  });

  test('a file that is no sandbox, and a folder without any, are said with their own status', async () => {
    const { sjs, folder } = await instance('', { 'a/sandbox.yaml': 'nothing', 'empty/x.txt': '' });
    // Of what cannot be read the policy says nothing.
    expect(await runVerbWith('policy check', policyCheckVerb, [join(folder, 'a')], sjs)).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(/: not checked\n$/),
    });
    await expect(sjs.explainPolicy(join(folder, 'nowhere'))).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
    await expect(sjs.checkPolicy([join(folder, 'empty')])).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    const noImages = { findImageBySeal: () => Promise.resolve(null), listImages: () => Promise.resolve([]) };
    const { targets } = await checkPolicy(
      ['sjs/none:0123456789ab', `r.example/job@sha256:${'0'.repeat(64)}`],
      {
        clock: systemClock,
        loadSandbox: sjs.loadSandbox,
        loadPolicy: () => loadPolicies(''),
        sealed: () =>
          Promise.resolve({
            store: noImages,
            images: { inspect: () => Promise.resolve(null) },
          } as unknown as TargetTools),
      },
    );
    expect(targets).toMatchObject([
      { kind: 'sealed', isAllowed: false, error: { code: 'TARGET_NOT_FOUND' } },
      {
        kind: 'sealed',
        isAllowed: false,
        error: { code: 'TARGET_NOT_FOUND', message: expect.stringContaining('was not pulled') },
      },
    ]);
  });

  test('a policy that cannot be read stops it', async () => {
    const { sjs, folder } = await instance('limits: { memori: 1Gi }\n', { 'a/sandbox.yaml': yaml('a') });
    await expect(sjs.checkPolicy([join(folder, 'a')])).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  });
});

describe('policy trust', () => {
  test('every entry that ships is a policy by the schema, with its page and who signs', async () => {
    const publishers = await listPublishers('policies/trust');
    expect(publishers.map(({ name, repositories }) => [name, ...repositories])).toEqual([
      ['chainguard', 'cgr.dev/chainguard/node'],
      ['distroless', 'gcr.io/distroless/nodejs*'],
      ['docker-hardened', 'dhi.io/node'],
    ]);
    for (const { name, page, tried, next, title } of publishers) {
      const file = `policies/trust/${name}.yaml`;
      const layer = await parsePolicy(await readFile(file), file, 'operator');
      // Trust and nothing else.
      expect(layer).toMatchObject({
        extends: null,
        defaults: {},
        limits: {},
        allow: {},
        waivers: [],
        sealed: { attestations: [] },
      });
      for (const rule of layer.bases ?? []) {
        expect(rule).toMatchObject({ transparencyLog: 'required', trustedRoot: null, mirrors: [] });
        expect(rule.keyless?.identityPattern ?? null).toBeNull();
        expect(rule.keyless?.issuer ?? 'https://').toMatch(/^https:\/\//);
        for (const { publicKey } of rule.keys) fingerprintOf(publicKey);
      }
      expect(page).toMatch(/^https:\/\/[^/]+\/.+/);
      for (const words of [tried, next, title]) expect(words).not.toBe('');
    }
  });

  test('the key of Docker Hardened Images is the one whose fingerprint others published too', async () => {
    const file = 'policies/trust/docker-hardened.yaml';
    const layer = await parsePolicy(await readFile(file), file, 'operator');
    expect(layer.bases?.flatMap(({ keys }) => keys.map(({ publicKey }) => fingerprintOf(publicKey)))).toEqual(
      ['sha256:118ba556dd52f4aec67018efd316c285c783cd3e54cc0f4527605715c643887c'],
    );
  });

  test('writes the entry once, with its comments, and keeps what is there', async () => {
    const { sjs, folder } = await instance(
      `# mine\nlimits: { pids: 9 } # few\nbases:\n  # ours\n${signerRule('r.example/ours').trimEnd()}\n`,
    );
    const { status, stdout } = await runVerbWith('policy trust', policyTrustVerb, ['chainguard'], sjs);
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(
        /cgr\.dev\/chainguard\/node is trusted now.*\n {2}who signs: https:.*\n {2}tried: no.*\n {2}next: /,
      ),
    ]);
    const file = join(folder, 'policy.yaml');
    const text = await readFile(file, 'utf8');
    for (const kept of ['# mine', '# few', '# ours', 'as stated at https://edu.chainguard.dev/'])
      expect(text).toContain(kept);
    expect(
      (await parsePolicy(Buffer.from(text), file, 'operator')).bases?.map(({ repository }) => repository),
    ).toEqual(['cgr.dev/chainguard/node', 'r.example/ours']);
    expect(await sjs.trustPublisher('chainguard')).toMatchObject({ isNew: false });
    expect(await readFile(file, 'utf8')).toBe(text);
    // Each repository is trusted by its own signer alone.
    await sjs.trustPublisher('distroless');
    const { values } = await sjs.explainPolicy();
    expect(values.filter(({ key }) => key === 'bases').map(({ value }) => value)).toEqual([
      'gcr.io/distroless/nodejs*; keyless@distroless.iam.gserviceaccount.com of https://accounts.google.com; transparency log required',
      expect.stringContaining(
        'cgr.dev/chainguard/node; https://github.com/chainguard-images/images/.github/workflows/release.yaml@refs/heads/main of https://token.actions.githubusercontent.com',
      ),
      expect.stringContaining('r.example/ours'),
    ]);
  });

  test('makes a policy where there is none, lists the names, and says which was meant', async () => {
    const file = join(await makeFolder(), 'new/policy.yaml');
    expect(await trustPublisher('docker-hardened', 'policies/trust', createPolicyFile(file))).toMatchObject({
      isNew: true,
    });
    expect((await parsePolicy(await readFile(file), file, 'operator')).bases).toHaveLength(1);
    await expect(
      trustPublisher('../restricted', 'policies/trust', createPolicyFile(file)),
    ).rejects.toMatchObject({
      code: 'USAGE',
    });
    await expect(trustPublisher('chaingard', 'policies/trust', createPolicyFile(file))).rejects.toMatchObject(
      {
        next: 'did you mean chainguard?',
      },
    );
    const { sjs } = await instance('');
    expect((await runVerbWith('policy trust', policyTrustVerb, [], sjs)).stdout).toMatch(
      /^NAME.*\nchainguard .*\ndistroless .*\ndocker-hardened /,
    );
    expect(
      JSON.parse((await runVerbWith('policy trust', policyTrustVerb, ['--json'], sjs)).stdout),
    ).toHaveLength(3);
  });

  test('what cannot be extended safely is left as it is', async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, 'p'));
    const file = join(folder, 'p/policy.yaml');
    await writeFile(file, `${POLICY_HEAD}bases: []\n`);
    await expect(
      trustPublisher('chainguard', 'policies/trust', createPolicyFile(file)),
    ).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      next: expect.stringContaining('cgr.dev/chainguard/node'),
    });
    expect(await readFile(file, 'utf8')).toBe(`${POLICY_HEAD}bases: []\n`);
  });
});

test('doctor says which waivers have ended, and what is below a floor of the policy', async () => {
  const policy = await loadPolicies(
    `floors: { engine: "99" }\nwaivers:\n  - { sandbox: a, folder: /a, rule: limits.pids, until: 2026-06-10, reason: old }\n  - { sandbox: b, folder: /b, rule: limits.cpu, until: 2026-06-20, reason: soon }\n`,
  );
  const facts = {
    name: 'Docker Engine',
    version: '28.0.0',
    runtime: 'runc',
    runtimeVersion: '1.3.6',
    kernel: null,
    warnings: [],
    platform: { os: 'linux', architecture: 'amd64' },
    portWarning: null,
    missingControls: [],
  };
  const machine = {
    engine: () =>
      Promise.resolve({
        probe: () => Promise.resolve(facts),
        isIsolationProven: () => Promise.resolve(true),
      }),
    verifier: () => Promise.reject(new Error('none')),
    loadPolicy: () => Promise.resolve(policy),
    clock: { now: () => Date.parse('2026-06-15T12:00:00Z') },
    store: () => Promise.resolve({ listOpen: () => Promise.resolve([]) }),
    nodeVersion: '24.0.0',
    home: '/home',
  };
  const { isReady, checks } = await checkMachine(machine as unknown as Parameters<typeof checkMachine>[0]);
  const said = checks.map(({ name, status, message }) => `${name} ${status} ${message}`);
  expect(isReady).toBe(false);
  expect(said).toContainEqual(
    expect.stringMatching(/^floors failed engine is 28\.0\.0; .*policy\.yaml:3 asks for 99/),
  );
  expect(said).toContainEqual(
    expect.stringMatching(
      /^waiver warning limits\.pids for a ended on 2026-06-10 and counts no longer: old \(.*:5\)/,
    ),
  );
  expect(said).toContainEqual(
    expect.stringMatching(/^waiver warning limits\.cpu for b ends on 2026-06-20: soon/),
  );
});
