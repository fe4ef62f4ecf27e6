import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { canonicalJson } from '../../src/model/canonical-json.js';
import { sha256 } from '../../src/model/digest.js';
import { splitRuntimeConfig } from '../../src/model/runtime-config.js';
import { DEFAULT_PERMISSIONS, DEFAULT_RESOURCES } from '../../src/model/sandbox.js';
import { computeSeal, type SealedLabels } from '../../src/model/sealed-image.js';
import { decodeLabels, encodeLabels } from '../../src/model/sealed-labels.js';
import { anyJson, anyText, attempt, check, DEADLINE_MS, mutated, toJson } from '../support/property.js';

/** The value with every mapping's keys in another order. */
function reordered(value: unknown, seed: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => reordered(item, seed));
  const entries = Object.entries(value).map(([key, item]) => [key, reordered(item, seed)] as const);
  const turn = entries.length === 0 ? 0 : seed % entries.length;
  return Object.fromEntries([...entries.slice(turn).reverse(), ...entries.slice(0, turn)]);
}

const finite = anyJson.map((value) => JSON.parse(toJson(value).replace(/-?1e999/g, '0')) as unknown);

test(
  'canonical JSON is the value, whatever the order of keys, with keys sorted by code units',
  () =>
    check(
      fc.property(finite, fc.nat(), (value, seed) => {
        const text = canonicalJson(value);
        assert.deepEqual(JSON.parse(text), value);
        assert.equal(canonicalJson(reordered(value, seed)), text);
        assert.doesNotMatch(text, /^\s|[\n\t]|\s$/);
        JSON.parse(text, function (this: unknown, _key, item: unknown) {
          if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
            // Names that are numbers come first in a JavaScript object, wherever they stand in the text.
            const keys = Object.keys(item).filter((key) => !/^\d+$/.test(key));
            assert.deepEqual(
              keys,
              [...keys].sort((a, b) => (a < b ? -1 : 1)),
            );
          }
          return item;
        });
      }),
    ),
  DEADLINE_MS,
);

const texts = fc.array(anyText, { maxLength: 3 });
const map = fc.dictionary(anyText, anyText, { maxKeys: 3 });
const config = fc.record(
  {
    User: anyText,
    Env: texts,
    Cmd: texts,
    Entrypoint: texts,
    Labels: map,
    WorkingDir: anyText,
    OnBuild: texts,
  },
  { requiredKeys: [] },
);
const EMPTY = [undefined, null, '', [], {}, false];
const platform = fc.record({ os: anyText, architecture: anyText });

test(
  'a seal does not depend on order, on how nothing is written, or on the locale; everything else changes it',
  () =>
    check(
      fc.property(
        platform,
        config,
        fc.nat(),
        fc.constantFrom<unknown>(...EMPTY),
        anyText,
        (where, raw, seed, nothing, text) => {
          const seal = (fields: unknown, diffIds = [sha256('a')]) =>
            computeSeal({
              platform: where,
              diffIds,
              config: splitRuntimeConfig(fields as Record<string, unknown>).config,
            });
          const expected = seal(raw);
          assert.equal(seal(reordered(raw, seed)), expected);
          const unset = ['Volumes', 'Shell', 'StopSignal', 'Hostname'].map((key) => [key, nothing]);
          assert.equal(seal({ ...Object.fromEntries(unset), ...raw }), expected);
          assert.notEqual(seal({ ...raw, Env: [...(raw.Env ?? []), text, 'x'] }), expected);
          assert.notEqual(seal({ ...raw, StopSignal: `${text}x` }), expected);
          assert.notEqual(
            seal({ ...raw, Labels: { ...raw.Labels, more: `${raw.Labels?.['more'] ?? ''}x` } }),
            expected,
          );
          assert.notEqual(seal(raw, [sha256(`b${text}`)]), expected);
          if (raw.Cmd && raw.Cmd.join() !== [...raw.Cmd].reverse().join())
            assert.notEqual(seal({ ...raw, Cmd: [...raw.Cmd].reverse() }), expected);
        },
      ),
    ),
  DEADLINE_MS,
);

const positive = fc.integer({ min: 1, max: 2 ** 40 });
const name = fc.stringMatching(/^[a-z0-9](?:[-a-z0-9]{0,8}[a-z0-9])?$/);
const sealed: fc.Arbitrary<SealedLabels> = fc.record({
  formatVersion: fc.constant(1),
  name,
  version: fc.constantFrom(null, '1.0.0', '1.0.0-rc.1'),
  baseDigest: fc.constant(sha256('base')),
  baseVersion: fc.constantFrom(null, '24.1.0'),
  plan: fc.record({
    secrets: fc.array(fc.stringMatching(/^[A-Z]{1,4}$/), { maxLength: 2 }),
    permissions: fc.record({
      childProcess: fc.boolean(),
      worker: fc.boolean(),
      addons: fc.boolean(),
      wasi: fc.boolean(),
    }),
    resources: fc.constant(DEFAULT_RESOURCES),
    filesystem: fc.record({
      tmpBytes: positive,
      tmpInodes: positive,
      outBytes: fc.option(positive),
      outInodes: positive,
    }),
    network: fc.constant({ mode: 'none' as const }),
    runtime: fc.constant('runc' as const),
    seccompDigest: fc.constant(sha256('p')),
  }),
  packages: fc.constantFrom(null, sha256('packages')),
  rebasedFrom: fc.constantFrom(null, sha256('rebased')),
});

test(
  'labels say what was sealed',
  () =>
    check(
      fc.property(sealed, (labels) => {
        assert.deepEqual(decodeLabels(encodeLabels(labels)), JSON.parse(JSON.stringify(labels)));
      }),
    ),
  DEADLINE_MS,
);

test(
  'labels of anybody are what sjs would have written, or SEAL_REFUSED: no limit is missing, no right is unknown',
  () => {
    const plan = mutated(sealed.map((labels) => labels.plan)).map(toJson);
    const edits = fc.dictionary(
      fc.constantFrom('format', 'name', 'version', 'base.digest', 'base.version', 'plan'),
      fc.oneof(anyText, plan, fc.constantFrom('1.0', ' 1', '0x1', '1\n')),
      { maxKeys: 2 },
    );
    return check(
      fc.property(sealed, plan, edits, fc.boolean(), (labels, text, changes, hasOther) => {
        const changed = Object.fromEntries(
          Object.entries(changes).map(([key, item]) => [`dev.sjs.${key}`, item]),
        );
        const raw = { ...encodeLabels(labels), ...(hasOther && { 'dev.sjs.plan': text }), ...changed };
        const read = attempt(() => decodeLabels(raw));
        if (read instanceof SjsError) {
          assert.equal(read.code, 'SEAL_REFUSED');
          return;
        }
        const limits = Object.keys(read.plan.resources);
        assert.deepEqual(
          Object.keys(DEFAULT_RESOURCES).filter((key) => !limits.includes(key)),
          [],
        );
        assert.deepEqual(Object.keys(read.plan.permissions).sort(), Object.keys(DEFAULT_PERMISSIONS).sort());
        const written = encodeLabels(read);
        assert.deepEqual(JSON.parse(written['dev.sjs.plan'] ?? ''), JSON.parse(raw['dev.sjs.plan'] ?? ''));
        assert.deepEqual({ ...written, 'dev.sjs.plan': '' }, { ...raw, 'dev.sjs.plan': '' });
      }),
    );
  },
  DEADLINE_MS,
);
