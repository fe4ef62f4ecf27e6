import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { cleanLine, TerminalCleaner } from '../../src/cli/terminal.js';
import { cleanText } from '../../src/model/clean-text.js';
import { escapeUnprintable } from '../../src/model/sandbox.js';
import { anyText, check, cutBytes, DEADLINE_MS, visibleText } from '../support/property.js';

const clean = (chunks: readonly Uint8Array[], ci = false): string => {
  const cleaner = new TerminalCleaner({ ci });
  const shown = Buffer.concat([...chunks.map((chunk) => cleaner.clean(chunk)), cleaner.flush()]);
  return new TextDecoder('utf-8', { fatal: true }).decode(shown);
};

/** Bytes near to what terminals act on. */
const bytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 6 }).map((raw) => Buffer.from(raw)),
      anyText.map((text) => Buffer.from(text)),
      fc
        .constantFrom(
          '\u001b[2J',
          '\u001b]52;c;aGk=\u0007',
          '\u001bP',
          '\u009b',
          '\r',
          '\n',
          '\t',
          '\u202e',
          '::error::x',
          '##[group]',
          '##vso[x]',
          'section_start:1',
          '#',
          ':',
        )
        .map((text) => Buffer.from(text)),
      fc
        .constantFrom(
          [0x9b, 0x41],
          [0xc2],
          [0xe2, 0x82],
          [0xf0, 0x9f, 0x98],
          [0xed, 0xa0, 0x80],
          [0xc0, 0x9b],
          [0xf4, 0x90, 0x80, 0x80],
        )
        .map((raw) => Buffer.from(raw)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts));
const cuts = fc.array(fc.nat(), { maxLength: 6 });

test(
  'any bytes leave nothing that a terminal acts on, wherever they are cut',
  () =>
    check(
      fc.property(bytes, cuts, (raw, places) => {
        const shown = clean([raw]);
        assert.equal(clean(cutBytes(raw, places)), shown);
        assert.doesNotMatch(shown, /[^\P{C}\n\t\p{Co}\p{Cn}]|[\p{Zl}\p{Zp}]/u);
      }),
    ),
  DEADLINE_MS,
);

test(
  'what can be seen is not changed, line breaks and tabs among it',
  () =>
    check(
      fc.property(
        fc.array(fc.oneof(visibleText, fc.constantFrom('\n', '\t', 'x\n', '\\x1b[0m')), { maxLength: 5 }),
        cuts,
        (parts, places) => {
          const text = parts.join('');
          assert.equal(clean(cutBytes(Buffer.from(text), places)), text);
          assert.equal(cleanLine(text.replace(/[\n\t]/g, '')), text.replace(/[\n\t]/g, ''));
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'in CI no line is left that a runner takes for a command, whatever the cut',
  () =>
    check(
      fc.property(bytes, cuts, (raw, places) => {
        const shown = clean(cutBytes(raw, places), true);
        assert.doesNotMatch(shown, /^\s*::/mu);
        assert.doesNotMatch(shown.toLowerCase(), /##\[|##vso\[|##teamcity\[|section_(start|end):/);
        // Nothing but the first character of a command is written otherwise.
        const plain = (text: string): string =>
          text
            .replace(/\\x(23|3a|73|53)/g, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16)))
            .toLowerCase();
        assert.equal(plain(shown), plain(clean([raw])));
      }),
    ),
  DEADLINE_MS,
);

test(
  'words of others in a message or a table are one line without anything that steers',
  () =>
    check(
      fc.property(anyText, fc.integer({ min: 1, max: 400 }), (text, times) => {
        for (const shown of [cleanText(text.repeat(times)), cleanLine(text), escapeUnprintable(text)])
          assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        assert.ok(cleanText(text.repeat(times)).length <= 1001);
        assert.equal(cleanText(cleanText(text)), cleanText(text));
      }),
    ),
  DEADLINE_MS,
);
