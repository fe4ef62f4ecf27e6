import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { effectiveResources } from '../../src/flows/validate-sandbox.js';
import type { Digest } from '../../src/model/digest.js';
import type { Policy, PolicyLayer, SignerRule } from '../../src/model/policy.js';
import { noSandbox } from '../../src/model/waiver.js';
import { matchesName, matchesRepository } from '../../src/model/repository-pattern.js';
import { parseSandbox } from '../../src/stages/load/load-sandbox.js';
import { checkFloors } from '../../src/stages/policy/check-floors.js';
import { judgeSandbox, subjectOf } from '../../src/stages/policy/check-sandbox.js';
import {
  defaultBase,
  effectiveRetention,
  findDenied,
  sourceBound,
} from '../../src/stages/policy/effective-policy.js';
import type { Verdict } from '../../src/stages/policy/judge-rights.js';
import { parsePolicy } from '../../src/stages/policy/parse-policy.js';
import { requiresSigned, sealedRequirement } from '../../src/stages/policy/sealed-requirement.js';
import { trustRequirement } from '../../src/stages/policy/trust-requirement.js';
import {
  attempt,
  attemptAsync,
  check,
  DEADLINE_MS,
  mutated,
  mutatedText,
  toJson,
} from '../support/property.js';
import {
  greedySandbox,
  operatorRules,
  policyFile,
  policyRules,
  writeYaml,
  YAML_TOKENS,
} from '../support/property-files.js';

const FILE = '/etc/sjs/policy.yaml';
const parse = (text: string, origin: PolicyLayer['origin'] = 'operator') =>
  parsePolicy(Buffer.from(text), FILE, origin);

test(
  'a policy, near to a valid one or not, is a layer without a hole or a refusal that names the file',
  () => {
    const near = mutated(policyFile);
    const texts = fc.oneof(
      near.map(writeYaml),
      near.map(toJson),
      mutatedText(policyFile.map(writeYaml), YAML_TOKENS),
    );
    const origins = fc.constantFrom('operator', 'profile', 'repository');
    return check(
      fc.asyncProperty(texts, origins, async (text, origin) => {
        const layer = await attemptAsync(() => parse(text, origin));
        if (layer instanceof SjsError) {
          assert.equal(layer.location?.file, FILE);
          return;
        }
        const numbers = [layer.limits, layer.defaults.resources ?? {}, layer.retention].flatMap((part) =>
          Object.values(part),
        );
        assert.deepEqual(
          numbers.filter((number) => !Number.isSafeInteger(number)),
          [],
        );
        for (const rule of layer.bases ?? []) {
          assert.ok(rule.keys.length > 0);
          for (const { notBefore, notAfter } of rule.keys)
            for (const date of [notBefore, notAfter])
              if (date !== null) assert.ok(!Number.isNaN(Date.parse(date)), date);
        }
        const rules = attempt(() =>
          trustRequirement({ layers: [layer], digest: 'sha256:0' }, 'r.example/a/node'),
        );
        if (rules instanceof SjsError) assert.equal(rules.code, 'BASE_UNTRUSTED');
        else assert.equal(origin, 'operator');
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'a valid policy says what was written',
  () =>
    check(
      fc.asyncProperty(policyFile, async (file) => {
        const layer = await parse(writeYaml(file));
        assert.deepEqual(
          layer.bases?.map((rule) => rule.annotations),
          file.bases?.map(({ verify }) => ({ ...verify.annotations })),
        );
        assert.deepEqual(layer.deniedDigests, file.deny?.digests ?? []);
        assert.deepEqual(layer.allow, { ...file.allow });
        assert.equal(withoutPlaces(await parse(toJson(file))), withoutPlaces(layer));
      }),
    ),
  DEADLINE_MS,
);

const withoutPlaces = (layer: PolicyLayer): string =>
  JSON.stringify(layer).replace(/"(?:line|column)":\d+/g, '');

/** The rule as it reads: `*` any characters of one component, `**` any components. */
function fits(
  pattern: readonly string[],
  parts: readonly string[],
  wildcard: string,
  one: (a: string, b: string) => boolean,
): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return parts.length === 0;
  if (first === wildcard)
    return (
      parts.some((_part, at) => fits(rest, parts.slice(at), wildcard, one)) || fits(rest, [], wildcard, one)
    );
  return parts.length > 0 && one(first, parts[0] ?? '') && fits(rest, parts.slice(1), wildcard, one);
}

test(
  'a pattern takes what it says and nothing else',
  () => {
    const component = fc
      .array(fc.constantFrom('a', 'b', '*', '.'), { maxLength: 4 })
      .map((parts) => parts.join(''));
    const pattern = fc.array(fc.oneof(component, fc.constant('**')), { minLength: 1, maxLength: 5 });
    const path = fc.array(fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 3 }), {
      minLength: 1,
      maxLength: 4,
    });
    const sameName = (a: string, b: string): boolean => fits([...a], [...b], '*', (x, y) => x === y);
    return check(
      fc.property(pattern, path, (parts, letters) => {
        const names = letters.map((name) => name.join(''));
        assert.equal(matchesRepository(parts.join('/'), names.join('/')), fits(parts, names, '**', sameName));
        assert.equal(matchesName(parts[0] ?? '', names[0] ?? ''), sameName(parts[0] ?? '', names[0] ?? ''));
      }),
    );
  },
  DEADLINE_MS,
);

/** What of the one list is not in the other. */
const missing = (wanted: readonly unknown[], found: readonly unknown[]): unknown[] =>
  wanted.filter((one) => !found.some((other) => isDeepStrictEqual(one, other)));

/** A name that a waiver's pattern takes. */
const nameFor = ({ sandbox }: { readonly sandbox: string }): string => sandbox.replaceAll('*', 'ob');

describe('whatever sandbox.yaml and the repository’s policy say', () => {
  const NOW = Date.parse('2026-06-15T12:00:00Z');
  const head = { apiVersion: 'sjs/v1', kind: 'Policy' };
  const profiles = Promise.all(
    (['restricted', 'networked', 'browser'] as const).map(async (name) => {
      const file = resolve(`policies/${name}.yaml`);
      return [name, await parsePolicy(await readFile(file), file, 'profile')] as const;
    }),
  );
  const policyOf = (layers: readonly PolicyLayer[]): Policy => ({ layers, digest: 'sha256:0' });
  const operatorFile = fc
    .tuple(policyRules, operatorRules)
    .map(([rules, own]) => ({ ...head, ...rules, ...own }));
  const repositoryFile = fc.oneof(
    { weight: 3, arbitrary: policyRules.map((rules) => ({ ...head, ...rules })) },
    mutated(fc.tuple(policyRules, operatorRules).map(([rules, own]) => ({ ...head, ...rules, ...own }))),
  );
  const sandboxFile = fc.oneof({ weight: 3, arbitrary: greedySandbox }, mutated(greedySandbox));

  test(
    'no more is allowed than the operator’s layers alone allow',
    () =>
      check(
        fc.asyncProperty(operatorFile, repositoryFile, sandboxFile, async (own, repository, sandbox) => {
          const operator = await parse(toJson(own));
          const tightening = await attemptAsync(() => parse(toJson(repository), 'repository'));
          const parsed = await attemptAsync(() =>
            parseSandbox(Buffer.from(toJson(sandbox)), '/r/sandbox.yaml'),
          );
          // What cannot be read stops everything.
          if (tightening instanceof SjsError || parsed instanceof SjsError) return;
          const loaded = { ...parsed, folder: '/r' };
          const profile = new Map(await profiles).get(operator.extends ?? 'restricted')!;
          const alone = policyOf([operator, profile]);
          const all = policyOf([operator, profile, tightening]);

          // Defaults are the operator's alone.
          const resources = effectiveResources(loaded, alone);
          assert.deepEqual(
            [effectiveResources(loaded, all), defaultBase(all, 'node')],
            [resources, defaultBase(alone, 'node')],
          );
          assert.deepEqual(effectiveRetention(all), effectiveRetention(alone));

          const [before, after] = [alone, all].map((policy) => judgeSandbox(policy, loaded, resources, NOW));
          const said = (verdict: Verdict | undefined): string[] =>
            (verdict?.violations ?? []).map(({ code, problem }) =>
              // Of several layers that do not trust it the first is named.
              code === 'BASE_UNTRUSTED' ? code : `${code} ${problem.message}`,
            );
          assert.deepEqual(missing(said(before), said(after)), []);
          assert.deepEqual(missing(after!.waived, before!.waived), []);

          const subject = subjectOf(loaded, NOW);
          for (const digest of ['a', 'b'].map((letter): Digest => `sha256:${letter.repeat(64)}`)) {
            const refusals = (policy: Policy) => findDenied(policy, [digest], subject).refusals;
            assert.deepEqual(missing(refusals(alone), refusals(all)), []);
          }
          assert.ok(sourceBound(all, subject, 1).bytes <= sourceBound(alone, subject, 1).bytes);
          const versions = { engine: '28.0.0', runc: '1.3.6', cosign: '2.5.0' };
          if (attempt(() => checkFloors(alone, versions, subject)) instanceof SjsError)
            assert.ok(attempt(() => checkFloors(all, versions, subject)) instanceof SjsError);

          for (const repositoryName of ['r.example/a/node', 'other.example/node', 'm.example/x']) {
            for (const ask of [trustRequirement, sealedRequirement]) {
              const [few, many] = [alone, all].map((policy) => attempt(() => ask(policy, repositoryName)));
              if (many instanceof SjsError || many === undefined) continue;
              // What holds with the repository's layer held without it, and each of its lists is asked for still.
              if (few instanceof SjsError || few === undefined)
                throw new Error('trust was granted', { cause: few });
              assert.ok(many.alternatives.length >= few.alternatives.length);
              for (const [at, rules] of few.alternatives.entries()) {
                const asked: readonly SignerRule[] = many.alternatives[at] ?? [];
                assert.deepEqual(
                  asked.map(({ location }) => location),
                  rules.map(({ location }) => location),
                );
                for (const [which, { attestations }] of rules.entries())
                  assert.deepEqual(missing(attestations, asked[which]!.attestations), []);
              }
            }
          }
          if (requiresSigned(alone)) assert.deepEqual(requiresSigned(all), requiresSigned(alone));
        }),
        3000,
      ),
    DEADLINE_MS,
  );

  test(
    'a name gives nothing: where the operator waived nothing, no author gets a waiver',
    () =>
      check(
        fc.asyncProperty(operatorFile, greedySandbox, fc.boolean(), async (own, sandbox, isThere) => {
          const operator = await parse(toJson(own));
          const profile = new Map(await profiles).get(operator.extends ?? 'restricted')!;
          const folder = isThere ? '/r' : '/somewhere';
          const ofHere = own.waivers?.filter((waiver) => waiver.folder === folder) ?? [];
          const names = [...new Set([sandbox.metadata.name, ...(own.waivers ?? []).map(nameFor)])];
          for (const name of names) {
            const text = toJson({ ...sandbox, metadata: { ...sandbox.metadata, name } });
            const parsed = await attemptAsync(() =>
              parseSandbox(Buffer.from(text), `${folder}/sandbox.yaml`),
            );
            if (parsed instanceof SjsError) return;
            const loaded = { ...parsed, folder };
            const judge = (waivers: PolicyLayer['waivers']): Verdict => {
              const policy = policyOf([{ ...operator, waivers }, profile]);
              return judgeSandbox(policy, loaded, effectiveResources(loaded, policy), NOW);
            };
            const { waived, violations } = judge(operator.waivers);
            const messages = (verdict: Verdict) => verdict.violations.map(({ problem }) => problem.message);
            if (ofHere.length === 0)
              assert.deepEqual([messages({ waived, violations }), waived], [messages(judge([])), []]);
            for (const { rule } of waived)
              assert.ok(
                ofHere.some((waiver) => waiver.rule === rule),
                rule,
              );
            // Nor does the same text in a registry or an export, which this machine knows nothing of.
            const { name: _name, ...rest } = subjectOf(loaded, NOW);
            for (const digest of ['a', 'b'].map((letter): Digest => `sha256:${letter.repeat(64)}`)) {
              const policy = policyOf([operator, profile]);
              const foreign = { ...rest, name, origin: noSandbox(NOW).origin };
              assert.deepEqual(findDenied(policy, [digest], foreign).waivers, []);
            }
          }
        }),
        300,
      ),
    DEADLINE_MS,
  );

  test(
    'the cases meet what they are for: some are allowed, some refused by each side, some waived',
    async () => {
      const seen = new Set<string>();
      const cases = fc.sample(fc.tuple(operatorFile, repositoryFile, sandboxFile), {
        numRuns: 500,
        seed: 1,
      });
      for (const [own, repository, sandbox] of cases) {
        const operator = await parse(toJson(own));
        const tightening = await attemptAsync(() => parse(toJson(repository), 'repository'));
        const parsed = await attemptAsync(() =>
          parseSandbox(Buffer.from(toJson(sandbox)), '/r/sandbox.yaml'),
        );
        if (tightening instanceof SjsError || parsed instanceof SjsError) continue;
        const loaded = { ...parsed, folder: '/r' };
        const profile = new Map(await profiles).get(operator.extends ?? 'restricted')!;
        const [alone, all] = [
          [operator, profile],
          [operator, profile, tightening],
        ].map((layers) =>
          judgeSandbox(policyOf(layers), loaded, effectiveResources(loaded, policyOf(layers)), NOW),
        );
        if (all?.waived.length) seen.add('waived');
        if (alone?.violations.length) seen.add('refused by the operator');
        else seen.add(all?.violations.length ? 'refused by the repository' : 'allowed');
      }
      assert.deepEqual([...seen].sort(), [
        'allowed',
        'refused by the operator',
        'refused by the repository',
        'waived',
      ]);
    },
    DEADLINE_MS,
  );
});
