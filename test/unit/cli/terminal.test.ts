import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { TerminalCleaner } from '../../../src/cli/terminal.js';

const clean = (chunks: readonly Uint8Array[], ci = false): string => {
  const cleaner = new TerminalCleaner({ ci });
  return Buffer.concat([...chunks.map((chunk) => cleaner.clean(chunk)), cleaner.flush()]).toString();
};
const whole = (text: string | Uint8Array, ci = false): string => clean([Buffer.from(text)], ci);

/** Every C0 and C1 control, raw and as UTF-8, each in a line of its own. */
const controls = Buffer.concat(
  [...Array.from({ length: 32 }, (_, i) => i), 0x7f]
    .flatMap((code) => [Buffer.from(`${code.toString(16)} `), Buffer.from([code]), Buffer.from('|\n')])
    .concat(
      Array.from({ length: 32 }, (_, i) => 0x80 + i).flatMap((code) => [
        Buffer.from(`raw ${code.toString(16)} `),
        Buffer.from([code]),
        Buffer.from(`| U+${code.toString(16)} ${String.fromCharCode(code)}|\n`),
      ]),
    ),
);

test('every control character has its harmless form (golden)', () => {
  const file = join('test', 'fixtures', 'terminal-controls.txt');
  const text = whole(controls);
  if (process.env.SJS_GOLDEN === 'write') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
  // eslint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
});

const attacks: [string, string | Uint8Array, string][] = [
  ['colours', '\u001b[31mred\u001b[0m', '\\x1b[31mred\\x1b[0m'],
  ['clipboard, OSC 52', '\u001b]52;c;aGk=\u0007', '\\x1b]52;c;aGk=\\x07'],
  [
    'link, OSC 8',
    '\u001b]8;;http://x\u001b\\t\u001b]8;;\u001b\\',
    '\\x1b]8;;http://x\\x1b\\t\\x1b]8;;\\x1b\\',
  ],
  ['title, OSC 0', '\u001b]0;t\u009c', '\\x1b]0;t\\x9c'],
  ['cursor report', '\u001b[6n', '\\x1b[6n'],
  ['DCS, DECRQSS', '\u001bP$q"p\u001b\\', '\\x1bP$q"p\\x1b\\'],
  ['APC, PM, SOS', '\u001b_a\u001b^b\u001bXc', '\\x1b_a\\x1b^b\\x1bXc'],
  ['reset and alternate screen', '\u001bc\u001b[?1049h', '\\x1bc\\x1b[?1049h'],
  ['raw C1 CSI', Buffer.from([0x9b, 0x32, 0x4a]), '\\x9b2J'],
  ['C1 CSI as UTF-8', '\u009b2J', '\\x9b2J'],
  ['bare CR', 'good\rbad', 'good\\x0dbad'],
  ['CR at the end', 'good\r', 'good\\x0d'],
  ['CR CR LF', 'a\r\r\nb', 'a\\x0d\nb'],
  ['CR LF', 'a\r\nb', 'a\nb'],
  ['BEL, BS, NUL, DEL', '\u0007\b\0\u007f', '\\x07\\x08\\x00\\x7f'],
  ['bidi and zero width', 'a\u202eb\u2066c\u200bd\ufeff\u00ad', 'a\\u202eb\\u2066c\\u200bd\\ufeff\\xad'],
  ['separators', 'a\u2028b\u2029c\u0085d', 'a\\u2028b\\u2029c\\x85d'],
  ['tag characters', '\u{e0041}', '\\u{e0041}'],
  ['plain text', 'grüße\t日本 😀 "\\n"\n', 'grüße\t日本 😀 "\\n"\n'],
  ['overlong forms', Buffer.from([0xc0, 0x9b, 0xe0, 0x82, 0x9b]), '\\xc0\\x9b\\xe0\\x82\\x9b'],
  ['surrogates', Buffer.from([0xed, 0xa0, 0x80]), '\\xed\\xa0\\x80'],
  ['beyond Unicode', Buffer.from([0xf4, 0x90, 0x80, 0x80, 0xff]), '\\xf4\\x90\\x80\\x80\\xff'],
  ['a character cut off', Buffer.from([0x41, 0xf0, 0x9f, 0x98]), 'A\\xf0\\x9f\\x98'],
  ['a character broken off', Buffer.from([0xe2, 0x82, 0x41]), '\\xe2\\x82A'],
];

describe('what a terminal would act on is shown as text', () => {
  test.each(attacks)('%s', (_name, text, shown) => expect(whole(text)).toBe(shown));
});

test('wherever the chunks are cut, the result is the same', () => {
  const bytes = Buffer.concat([controls, ...attacks.map(([, text]) => Buffer.from(text))]);
  const expected = whole(bytes);
  expect(clean(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toBe(expected);
  for (let at = 0; at <= bytes.length; at += 1) {
    expect(clean([bytes.subarray(0, at), bytes.subarray(at)])).toBe(expected);
  }
});

describe('long lines', () => {
  test('are cut at 16 KiB, and say so', () => {
    expect(whole(`${'x'.repeat(20_000)}\nnext\n`)).toBe(
      `${'x'.repeat(16_384)}… (3616 more bytes in this line)\nnext\n`,
    );
    expect(whole('x'.repeat(16_384))).toBe('x'.repeat(16_384));
    expect(whole('x'.repeat(16_385))).toBe(`${'x'.repeat(16_384)}… (1 more bytes in this line)`);
  });

  test('are cut between characters', () => {
    expect(whole(`x${'é'.repeat(10_000)}`)).toBe(`x${'é'.repeat(8191)}… (3618 more bytes in this line)`);
  });

  test('of a gigabyte need no memory', () => {
    const cleaner = new TerminalCleaner({ ci: true });
    const chunk = new Uint8Array(65_536).fill(0x78);
    let shown = 0;
    for (let i = 0; i < 64; i += 1) shown += cleaner.clean(chunk).length;
    expect(shown).toBe(16_384);
    expect(Buffer.from(cleaner.flush()).toString()).toContain(`${64 * 65_536 - 16_384} more bytes`);
  });
});

describe('workflow commands in CI', () => {
  const table: [string, string][] = [
    ['::set-output name=x::y\n', '\\x3a:set-output name=x::y\n'],
    ['a\n::add-mask::x\n', 'a\n\\x3a:add-mask::x\n'],
    [' \t\u00a0::error::x', ' \t\u00a0\\x3a:error::x'],
    ['std::vector\n', 'std::vector\n'],
    [': one', ': one'],
    ['a ##[group]x', 'a \\x23#[group]x'],
    ['###[group]x', '#\\x23#[group]x'],
    ['##vso[task.setvariable variable=x]y', '\\x23#vso[task.setvariable variable=x]y'],
    ['x ##VSO[task.complete]', 'x \\x23#VSO[task.complete]'],
    ["##teamcity[buildStatus text='x']", "\\x23#teamcity[buildStatus text='x']"],
    ['section_start:1:x', '\\x73ection_start:1:x'],
    ['\u001b[0Ksection_end:1:x\r', '\\x1b[0K\\x73ection_end:1:x\\x0d'],
    ['## heading\n### more ##', '## heading\n### more ##'],
    ['#\u200b#[x', '#\\u200b#[x'],
    ['\ufeff::error::x', '\\ufeff::error::x'],
    ['sections and 😀 #s', 'sections and 😀 #s'],
    ['\n\n::', '\n\n\\x3a:'],
    ['x:', 'x:'],
  ];
  test.each(table)('%j', (text, shown) => expect(whole(text, true)).toBe(shown));

  test.each(table)('%j cut anywhere holds no command', (text) => {
    const bytes = Buffer.from(text);
    const cuts = [Array.from(bytes, (byte) => Uint8Array.of(byte))];
    for (let at = 0; at < bytes.length; at += 1) cuts.push([bytes.subarray(0, at), bytes.subarray(at)]);
    for (const chunks of cuts) {
      const shown = clean(chunks, true);
      expect(shown).not.toMatch(/^\s*::/mu);
      expect(shown.toLowerCase()).not.toMatch(/##\[|##vso\[|##teamcity\[|section_(start|end):/);
    }
  });

  test('a chunk may begin a line that another stream broke', () => {
    const cleaner = new TerminalCleaner({ ci: true });
    const shown = [Buffer.from('x'), Buffer.from('::error::y\n')].map((chunk) => cleaner.clean(chunk));
    expect(Buffer.concat(shown).toString()).toBe('x\\x3a:error::y\n');
  });

  test('outside of CI they are words', () => {
    expect(whole('::error::x ##[group]')).toBe('::error::x ##[group]');
  });
});
