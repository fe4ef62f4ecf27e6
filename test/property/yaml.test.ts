import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { parseYaml } from '../../src/model/yaml-document.js';
import { parseSandbox } from '../../src/stages/load/load-sandbox.js';
import {
  anyJson,
  anyText,
  attempt,
  attemptAsync,
  check,
  DEADLINE_MS,
  mutated,
  mutatedText,
  toJson,
} from '../support/property.js';
import { sandboxFile, YAML_TOKENS, writeYaml } from '../support/property-files.js';

const parse = (text: string) => parseYaml(Buffer.from(text), '/x/sandbox.yaml');

/** Every path in a value. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]))];
}

/** The value as YAML has it: no negative zero, and numbers that are too large stay the text that was written. */
function asRead(value: unknown): unknown {
  if (value === Infinity || value === -Infinity) return value > 0 ? '1e999' : '-1e999';
  if (Object.is(value, -0)) return 0;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(asRead);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asRead(item)]));
}

const soup = fc
  .array(fc.oneof(fc.constantFrom(...YAML_TOKENS), anyText), { maxLength: 16 })
  .map((parts) => parts.join(''));
const nearYaml = mutatedText(sandboxFile.map(writeYaml), YAML_TOKENS);

test(
  'any text is a document or a refusal, and every place in it is in the file',
  () =>
    check(
      fc.property(fc.oneof(soup, nearYaml), anyText, (text, name) => {
        const document = attempt(() => parse(text));
        if (document instanceof SjsError) {
          assert.equal(document.location?.file, '/x/sandbox.yaml');
          return;
        }
        const lines = text.split(/\r\n?|\n/);
        for (const path of [...pathsOf(document.value), [name], [name, name]]) {
          const { line, column } = document.locate(path);
          if (column > (lines[line - 1] ?? '').length + 1)
            throw new Error(`no such place: ${line}:${column}`);
          if (!/^[0-9]+ \| [^\n]*\n *\| *\^$/.test(document.excerpt(path))) throw new Error('not an excerpt');
        }
      }),
    ),
  DEADLINE_MS,
);

test(
  'any bytes are a document or a refusal',
  () =>
    check(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        attempt(() => parseYaml(bytes, 'sandbox.yaml'));
      }),
    ),
  DEADLINE_MS,
);

test(
  'what is written is what is read: JSON, and blocks of YAML',
  () =>
    check(
      fc.property(anyJson, fc.boolean(), (value, asJson) => {
        const text = asJson ? toJson(value) : writeYaml(value);
        const document = attempt(() => parse(text));
        if (!(document instanceof SjsError)) {
          assert.deepEqual(document.value, asRead(value));
          return;
        }
        // Only what JSON has and sjs's YAML does not: what cannot be seen, a merge key, too long a simple key.
        assert.match(document.code, /^YAML_(SYNTAX|MERGE)$/);
        assert.match(text, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]|"<<"/u);
      }),
    ),
  DEADLINE_MS,
);

test(
  'a key that stands twice is refused, wherever it is and however it is written',
  () =>
    check(
      fc.property(
        fc.oneof(
          fc.stringMatching(/^[a-zé_]{1,4}$/),
          fc.nat().map(String),
          fc.constantFrom('1.5', 'true', 'null', '__proto__', 'constructor'),
        ),
        fc.array(fc.constantFrom('b', 'c', '"d"'), { maxLength: 3 }),
        fc.boolean(),
        fc.boolean(),
        (key, outer, isQuoted, isFlow) => {
          const other = isQuoted ? JSON.stringify(key) : `'${key}'`;
          const pair = isFlow ? `{${key}: 1, ${other}: 2}` : `${key}: 1\n${other}: 2`;
          const text = isFlow ? outer.reduceRight((inner, name) => `{${name}: ${inner}}`, pair) : pair;
          const found = attempt(() => parse(text));
          assert.equal(found instanceof SjsError && found.code, 'YAML_DUPLICATE_KEY');
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'a sandbox.yaml, near to a valid one or not, is a sandbox or a refusal that names the file',
  () =>
    check(
      fc.asyncProperty(
        fc.oneof(mutated(sandboxFile).map(writeYaml), mutated(sandboxFile).map(toJson), nearYaml),
        async (text) => {
          const loaded = await attemptAsync(() => parseSandbox(Buffer.from(text), '/x/sandbox.yaml'));
          if (loaded instanceof SjsError) {
            assert.equal(loaded.location?.file, '/x/sandbox.yaml');
            return;
          }
          const { sandbox } = loaded;
          const numbers = [
            ...Object.values(sandbox.resources),
            sandbox.user.uid,
            sandbox.user.gid,
            sandbox.filesystem.tmpBytes,
            sandbox.filesystem.outBytes ?? 1,
          ];
          assert.deepEqual(
            numbers.filter((number) => !Number.isSafeInteger(number) || number < 1),
            [],
          );
          const texts = [
            sandbox.name,
            sandbox.source,
            ...sandbox.command,
            ...sandbox.args,
            ...sandbox.exclude,
            ...sandbox.secrets,
            ...Object.entries(sandbox.env).flat(),
          ];
          assert.deepEqual(
            texts.filter((one) => typeof one !== 'string' || /[\p{Cc}\p{Cs}\u2028\u2029]/u.test(one)),
            [],
          );
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'a valid sandbox.yaml says what was written, in any order of its keys',
  () =>
    check(
      fc.asyncProperty(sandboxFile, fc.infiniteStream(fc.nat()), async (file, order) => {
        const spec = file.spec;
        const read = (await parseSandbox(Buffer.from(writeYaml(file)), '/x/sandbox.yaml')).sandbox;
        const { name, source, args, exclude } = read;
        assert.deepEqual(
          { name, source, args, exclude },
          {
            name: file.metadata.name,
            source: spec.source,
            args: spec.args ?? [],
            exclude: spec.exclude ?? [],
          },
        );
        assert.deepEqual(
          Object.entries(read.env),
          Object.entries(spec.env ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
        );
        const other = (await parseSandbox(Buffer.from(toJson(shuffled(file, order))), '/x/sandbox.yaml'))
          .sandbox;
        assert.equal(JSON.stringify(other), JSON.stringify(read));
      }),
    ),
  DEADLINE_MS,
);

/** The same value with the keys of its mappings in another order. */
function shuffled(value: unknown, order: Iterator<number>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item, order));
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [order.next().value as number, [key, shuffled(item, order)]] as const)
      .sort(([a], [b]) => a - b)
      .map(([, entry]) => entry),
  );
}
