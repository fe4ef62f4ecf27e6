import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import type { PolicyLayer } from '../../src/model/policy.js';
import { matchesName, matchesRepository } from '../../src/model/repository-pattern.js';
import { parsePolicy } from '../../src/stages/policy/parse-policy.js';
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
import { policyFile, writeYaml, YAML_TOKENS } from '../support/property-files.js';

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
          expect(layer.location?.file).toBe(FILE);
          return;
        }
        const numbers = [layer.limits, layer.defaults.resources ?? {}, layer.retention].flatMap((part) =>
          Object.values(part),
        );
        expect(numbers.filter((number) => !Number.isSafeInteger(number))).toEqual([]);
        for (const rule of layer.bases ?? []) {
          expect(rule.keys.length).toBeGreaterThan(0);
          for (const { notBefore, notAfter } of rule.keys)
            for (const date of [notBefore, notAfter])
              if (date !== null) expect(Date.parse(date)).not.toBeNaN();
        }
        const rules = attempt(() =>
          trustRequirement({ layers: [layer], digest: 'sha256:0' }, 'r.example/a/node'),
        );
        if (rules instanceof SjsError) expect(rules.code).toBe('BASE_UNTRUSTED');
        else expect(origin).toBe('operator');
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
        expect(layer.bases?.map((rule) => rule.annotations)).toEqual(
          file.bases?.map(({ verify }) => ({ ...verify.annotations })),
        );
        expect(layer.deniedDigests).toEqual(file.deny?.digests ?? []);
        expect(layer.allow).toEqual(file.allow ?? {});
        expect(withoutPlaces(await parse(toJson(file)))).toBe(withoutPlaces(layer));
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
        expect(matchesRepository(parts.join('/'), names.join('/'))).toBe(fits(parts, names, '**', sameName));
        expect(matchesName(parts[0] ?? '', names[0] ?? '')).toBe(sameName(parts[0] ?? '', names[0] ?? ''));
      }),
    );
  },
  DEADLINE_MS,
);
