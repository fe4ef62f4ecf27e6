import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { sha256 } from '../../src/model/digest.js';
import { DEFAULT_RESOURCES } from '../../src/model/sandbox.js';
import { fillTemplate } from '../../src/stages/render/fill-template.js';
import { quoteJson, quoteWord } from '../../src/stages/render/quote.js';
import { renderDockerfile } from '../../src/stages/render/render-dockerfile.js';
import { anyText, attempt, check, DEADLINE_MS, visibleText } from '../support/property.js';
import { makeBase, makeSandbox } from '../support/sandbox.js';

const template = readFileSync('templates/node.Dockerfile', 'utf8');

/** What the author may have thought of to break out. */
const value = fc.oneof(
  anyText,
  visibleText,
  fc
    .array(
      fc.constantFrom(
        '"',
        "'",
        '\\',
        '\\\\',
        '$',
        '${PATH}',
        '$(id)',
        '`',
        '#',
        ' ',
        '=',
        'RUN x',
        '<<EOF',
        '{{base}}',
        '$&',
        "$'",
        '[',
        ']',
        ',',
        '\n',
        '\r',
        '\u2028',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
);

/** Near the longest line. */
const long = fc
  .tuple(fc.constantFrom('x', '$', 'é', '😀'), fc.integer({ min: 14_000, max: 61_000 }))
  .map(([character, count]) => character.repeat(count));

/**
 * One instruction a line, as the builder's parser has it: a line that ends with the escape character goes on, an empty
 * one and a comment are none.
 */
function readInstructions(dockerfile: string): (readonly [name: string, rest: string])[] {
  const lines = dockerfile.replace(/\\[ \t]*\n/g, '').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'))
    .map((line) => {
      const space = line.indexOf(' ');
      return [line.slice(0, space), line.slice(space + 1)];
    });
}

/** `NAME="value"` as the builder's shell lexer reads it: in double quotes \ escapes ", $ and itself, and $ expands. */
function readPair(text: string): readonly [name: string, value: string] {
  const equals = text.indexOf('=');
  let read = '';
  let at = equals + 1;
  if (text[at++] !== '"') throw new Error('not quoted');
  for (; text[at] !== '"'; at += 1) {
    if (at >= text.length) throw new Error('the quote never ends');
    if (text[at] === '$') throw new Error('something is expanded');
    if (text[at] === '\\' && '"$\\'.includes(text[at + 1] ?? 'x')) at += 1;
    read += text[at] ?? '';
  }
  if (at !== text.length - 1) throw new Error('more than one word');
  return [text.slice(0, equals), read];
}

test(
  'a value comes out of its quotes as it went in, byte for byte, or is refused',
  () =>
    check(
      fc.property(fc.oneof({ weight: 50, arbitrary: value }, long), value, (one, other) => {
        const word = attempt(() => quoteWord(one));
        const json = attempt(() => quoteJson([one, other]));
        assert.ok(Buffer.byteLength(String(word)) < 65_000);
        if (typeof word === 'string') {
          assert.doesNotMatch(word, /[\n\r]/);
          assert.deepEqual(readPair(`X=${word}`), ['X', one]);
        } else assert.equal(word.code, 'TEMPLATE_VALUE');
        if (typeof json === 'string') {
          assert.doesNotMatch(json, /[\n\r]/);
          assert.deepEqual(JSON.parse(json), [one, other]);
        } else assert.equal(json.code, 'TEMPLATE_VALUE');
        // Only what cannot be seen is refused, and what is too long for a line.
        if (one.length < 10_000)
          assert.equal(
            typeof word === 'string',
            !/[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029\u115f\u1160\u3164\uffa0]/u.test(one),
          );
      }),
    ),
  DEADLINE_MS,
);

test(
  'whatever a sandbox and its base say, the instructions are those of the template and hold what was said',
  () =>
    check(
      fc.property(
        fc.array(fc.tuple(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,5}$/), value), { maxLength: 3 }),
        fc.array(value, { maxLength: 3 }),
        fc.array(value, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.constantFrom('PATH', 'LD_PRELOAD', 'NODE_OPTIONS', 'LANG'), value), {
          maxLength: 3,
        }),
        (entries, args, command, inherited) => {
          const env = Object.fromEntries([...entries, ['__proto__', 'x']]) as Record<string, string>;
          const base = makeBase({ config: { Env: inherited.map(([name, text]) => `${name}=${text}`) } });
          const sandbox = makeSandbox({ env, args, command });
          const found = attempt(() =>
            renderDockerfile(template, sandbox, base, DEFAULT_RESOURCES, sha256('p')),
          );
          if (found instanceof SjsError) {
            assert.equal(found.code, 'TEMPLATE_VALUE');
            return;
          }
          const { dockerfile, expectedConfig, labels } = found;
          assert.ok(dockerfile.startsWith('# Rendered by sjs.'));
          const instructions = readInstructions(dockerfile);
          const of = (name: string) => instructions.filter(([one]) => one === name).map(([, rest]) => rest);
          const emptied = new Set(
            inherited.map(([name]) => name).filter((name) => /^(LD_|NODE_)/.test(name)),
          );
          const set = { ...Object.fromEntries([...emptied].map((name) => [name, ''])), HOME: '/tmp', ...env };
          assert.deepEqual(of('ENV').map(readPair), Object.entries(set));
          assert.deepEqual(JSON.parse(of('CMD')[0] ?? ''), args);
          assert.deepEqual(JSON.parse(of('ENTRYPOINT')[0] ?? ''), expectedConfig.Entrypoint);
          const stated = Object.fromEntries(of('LABEL').map(readPair));
          assert.deepEqual(JSON.parse(stated['dev.sjs.plan'] ?? ''), labels.plan);
          assert.deepEqual(
            instructions.map(([name]) => name),
            [
              ...[
                'FROM',
                'COPY',
                ...Object.keys(set).map(() => 'ENV'),
                ...Object.keys(stated).map(() => 'LABEL'),
              ],
              ...['USER', 'WORKDIR', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'],
            ],
          );
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'a template is filled as it stands, or refused: no line of it becomes another instruction',
  () => {
    const line = fc.oneof(
      fc.constantFrom(
        'FROM {{base}}',
        'ENV {{env}}',
        'USER {{user}}',
        'COPY --chown=0:0 layer/ /',
        'HEALTHCHECK NONE',
        '# a word',
        '',
      ),
      fc.constantFrom(
        'RUN x',
        'ADD a b',
        'COPY a b',
        'ENV A="x" \\',
        '# escape=`',
        '#syntax=x',
        ' RUN x',
        '\tRUN x',
        'run x',
        'FROM {{other}}',
        'ONBUILD RUN x',
        'HEALTHCHECK CMD x',
      ),
      value,
    );
    return check(
      fc.property(
        fc.array(line, { maxLength: 5 }),
        fc.array(
          value.map((text) => `A=${JSON.stringify(text)}`),
          { maxLength: 2 },
        ),
        (lines, env) => {
          const found = attempt(() =>
            fillTemplate(lines.join('\n'), { base: 'r/a@sha256:0', env, user: '1:1' }),
          );
          if (found instanceof SjsError) {
            assert.match(found.code, /^TEMPLATE_(INVALID|VALUE)$/);
            return;
          }
          const names = readInstructions(found).map(([name]) => name);
          assert.deepEqual(
            names.filter(
              (name) =>
                !/^(FROM|COPY|ENV|LABEL|USER|WORKDIR|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD)$/.test(name),
            ),
            [],
          );
          const filled = lines
            .join('\n')
            .split('\n')
            .reduce(
              (count, one) => count + (one === 'ENV {{env}}' ? env.length : /^[A-Z]/.test(one) ? 1 : 0),
              0,
            );
          assert.equal(names.length, filled);
          assert.doesNotMatch(found, /^#\s*\w+\s*=/m);
        },
      ),
    );
  },
  DEADLINE_MS,
);
