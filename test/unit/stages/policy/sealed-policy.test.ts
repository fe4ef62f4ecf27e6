import { describe, expect, test } from '@jest/globals';
import type { SjsError } from '../../../../src/errors.js';
import { WAIVABLE_RULES, waiverState } from '../../../../src/model/waiver.js';
import { pushRepository } from '../../../../src/stages/policy/effective-policy.js';
import { explainPolicy } from '../../../../src/stages/policy/explain-policy.js';
import { parsePolicy } from '../../../../src/stages/policy/parse-policy.js';
import { requiresSigned, sealedRequirement } from '../../../../src/stages/policy/sealed-requirement.js';
import { codeOf, loadPolicies, POLICY_HEAD, signerRule } from '../../../support/policy.js';
import { cleanFolders } from '../../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-15T12:00:00Z');
const signers = (repository: string, more = ''): string =>
  `sealed:\n  signers:\n${signerRule(repository, more).replace(/^/gm, '  ').trimEnd()}\n`;
const parse = (text: string, origin: 'operator' | 'repository' | 'profile' = 'operator') =>
  parsePolicy(Buffer.from(POLICY_HEAD + text), '/p.yaml', origin);
const problemsOf = async (text: string, origin?: 'repository') => {
  const error = (await parse(text, origin).catch((caught: unknown) => caught)) as SjsError;
  expect(error).toMatchObject({ code: 'POLICY_INVALID' });
  return error.problems.map(({ location, message }) => `${location?.path}: ${message}`).join('\n');
};

describe('whose sealed images may run', () => {
  test('without a word on it nobody’s but those that were made here, and those need no signature', async () => {
    const policy = await loadPolicies('');
    expect(codeOf(() => sealedRequirement(policy, 'r.example/sandboxes/job'))).toBe('SEAL_UNTRUSTED');
    expect(requiresSigned(policy)).toBeNull();
  });

  test('every layer that states signers must have a matching rule, and an operator’s must be among them', async () => {
    const ask = async (...texts: Parameters<typeof loadPolicies>): Promise<string> => {
      const policy = await loadPolicies(...texts);
      return codeOf(() => sealedRequirement(policy, 'r.example/sandboxes/job'));
    };
    const ours = signers('r.example/sandboxes/*');
    expect(await ask(ours)).toBe('nothing was refused');
    expect(await ask(ours, signers('r.example/sandboxes/job'))).toBe('nothing was refused');
    expect(await ask(ours, signers('r.example/sandboxes/other'))).toBe('SEAL_UNTRUSTED');
    expect(await ask(ours, 'sealed: { signers: [] }\n')).toBe('SEAL_UNTRUSTED');
    expect(await ask(null, ours)).toBe('SEAL_UNTRUSTED');
    expect(await ask(signers('r.example/*'))).toBe('SEAL_UNTRUSTED');
    expect(await ask(ours, undefined, 'limits: { pids: 9 }\n')).toBe('nothing was refused');
  });

  test('each layer gives a list of alternatives, mirrors count, and attestations are those of all layers', async () => {
    const mirrored = `${signers('r.example/**', '    mirrors: ["m.example/**"]\n')}  attestations: [spdxjson]\n`;
    const policy = await loadPolicies(
      mirrored,
      'sealed: { attestations: [cyclonedx, spdxjson], requireSigned: true }\n',
      `${signers('m.example/a/*')}`,
    );
    const { alternatives } = sealedRequirement(policy, 'm.example/a/job');
    expect(
      alternatives.map((rules) => rules.map(({ repository, attestations }) => [repository, attestations])),
    ).toEqual([
      [['r.example/**', ['spdxjson', 'cyclonedx']]],
      [['m.example/a/*', ['spdxjson', 'cyclonedx']]],
    ]);
    expect(requiresSigned(policy)).toMatchObject({ line: 3, path: 'sealed.requireSigned' });
    expect(codeOf(() => sealedRequirement(policy, 'm.example/b/job'))).toBe('SEAL_UNTRUSTED');
  });

  test('a rule’s own attestations are asked for beside those of all', async () => {
    const policy = await loadPolicies(
      `${signers('sjs/*', '      attestations: [slsaprovenance1]\n')}  attestations: [cyclonedx]\n`,
    );
    const [[rule] = []] = sealedRequirement(policy, 'sjs/job').alternatives;
    expect(rule?.attestations).toEqual(['slsaprovenance1', 'cyclonedx']);
  });

  test.each([
    [
      'a signer that is none',
      'sealed: { signers: [{ repository: a/b, verify: { annotations: {} } }] }',
      /signers\.0\.verify: .*nobody/,
    ],
    ['an attestation that sjs does not know', 'sealed: { attestations: [vuln] }', /sealed\.attestations\.0/],
    ['requireSigned that is no boolean', 'sealed: { requireSigned: "yes" }', /sealed\.requireSigned/],
    ['a key that is none', 'sealed: { signer: [] }', /sealed\.signer/],
    [
      'log none for public Sigstore',
      'sealed: { signers: [{ repository: a/b, verify: { keyless: { issuer: "https://i.example", identity: me }, transparencyLog: none } }] }',
      /transparencyLog/,
    ],
  ])('%s is refused', async (_what, text, words) => {
    expect(await problemsOf(`${text}\n`)).toMatch(words);
  });
});

describe('where sealed images are pushed to', () => {
  test('the last operator layer decides', async () => {
    const first = 'defaults: { repository: r.example/one }\n';
    expect(pushRepository(await loadPolicies(''))).toBeNull();
    expect(pushRepository(await loadPolicies(first))).toBe('r.example/one');
    expect(
      pushRepository(await loadPolicies(first, '', 'defaults: { repository: "localhost:5000/x/y" }\n')),
    ).toBe('localhost:5000/x/y');
    // docker.io/<user> is no repository by itself.
    expect(pushRepository(await loadPolicies('defaults: { repository: docker.io/me }\n'))).toBe(
      'docker.io/me',
    );
  });

  test.each(['r.example/one:tag', 'r.example/One', 'https://r.example/one', 'r.example/one/', '-'])(
    '%s is refused',
    async (repository) => {
      const error = await parse(`defaults: { repository: "${repository}" }\n`).catch(
        (caught: unknown) => caught,
      );
      expect(error).toMatchObject({ code: expect.stringMatching(/^(POLICY|REFERENCE)_INVALID$/) });
    },
  );
});

describe('waivers', () => {
  const waiver = (fields: object = {}): string =>
    `waivers: [${JSON.stringify({ sandbox: 'job-*', folder: '/jobs/a', rule: 'limits.memory', until: '2026-07-01', reason: 'until the rewrite', ...fields })}]\n`;

  test('are read with their place, and only an operator has them', async () => {
    expect((await parse(waiver())).waivers).toEqual([
      {
        sandbox: 'job-*',
        scope: { folder: '/jobs/a' },
        rule: 'limits.memory',
        until: '2026-07-01',
        reason: 'until the rewrite',
        location: expect.objectContaining({ file: '/p.yaml', line: 3 }),
      },
    ]);
    expect(await problemsOf(waiver(), 'repository')).toMatch(/waivers: .*only tighten/);
  });

  test.each([
    ['everybody', { sandbox: '*' }, /sandbox/],
    ['trust', { rule: 'bases' }, /rule/],
    ['signers', { rule: 'sealed.signers' }, /rule/],
    ['the floor of cosign', { rule: 'floors.cosign' }, /rule/],
    ['no date', { until: '2026-02-30' }, /until: .*no date/],
    ['a time', { until: '2026-07-01T00:00:00Z' }, /until/],
    ['no reason', { reason: ' ' }, /reason/],
  ])('for %s are refused', async (_what, fields, words) => {
    expect(await problemsOf(waiver(fields))).toMatch(words);
  });

  test('count to the end of their last day in UTC, and are said a fortnight ahead', () => {
    const at = (time: string) => waiverState({ until: '2026-07-01' }, Date.parse(time));
    expect(at('2026-06-17T23:59:59Z')).toBe('valid');
    expect(at('2026-06-18T00:00:00Z')).toBe('ends soon');
    expect(at('2026-07-01T23:59:59Z')).toBe('ends soon');
    expect(at('2026-07-02T00:00:00Z')).toBe('expired');
    expect(waiverState({ until: 'never' }, NOW)).toBe('expired');
  });

  test('exist for every bound and list that a policy can state, and never for trust', () => {
    expect(WAIVABLE_RULES.filter((rule) => /^(bases|sealed|defaults|retention)|cosign/.test(rule))).toEqual(
      [],
    );
  });
});

test('all of it is explained, with where it comes from', async () => {
  const policy = await loadPolicies(
    `defaults: { repository: r.example/sandboxes }
waivers:
  - { sandbox: old, folder: /old, rule: limits.pids, until: 2026-06-14, reason: gone }
  - { sandbox: job, repository: r.example/job, rule: allow.egress, until: 2026-06-20, reason: "a migration" }
${signers('r.example/sandboxes/*', '      attestations: [cyclonedx]\n')}`,
    'sealed: { attestations: [slsaprovenance1], requireSigned: true }\n',
  );
  const rows = explainPolicy(policy, NOW).values.map(
    ({ key, value, from }) =>
      `${key} | ${String(value)} | ${from.map((place) => place.replace(/.*\/(etc|repo)\//, '$1/')).join(' ')}`,
  );
  for (const row of [
    'defaults.repository | r.example/sandboxes | etc/policy.yaml:3',
    'sealed.signers | r.example/sandboxes/*; 1 key; transparency log required; attested: cyclonedx | etc/policy.yaml:9',
    'sealed.attestations | slsaprovenance1 | repo/.sjs/policy.yaml:3',
    'sealed.requireSigned | true | repo/.sjs/policy.yaml:3',
    'waivers | old of /old may break limits.pids until 2026-06-14 (expired: it counts no longer): gone | etc/policy.yaml:5',
    'waivers | job from r.example/job may break allow.egress until 2026-06-20 (ends soon): a migration | etc/policy.yaml:6',
  ])
    expect(rows).toContain(row);
});
