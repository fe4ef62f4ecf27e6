import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import {
  formatBytes,
  formatCpu,
  formatDuration,
  parseBytes,
  parseCpu,
  parseDuration,
} from '../../src/model/quantity.js';
import { anyJson, anyText, check, DEADLINE_MS, mutatedText } from '../support/property.js';

const KINDS = [
  { parse: parseBytes, format: formatBytes, maximum: Number.MAX_SAFE_INTEGER },
  { parse: parseCpu, format: formatCpu, maximum: 1_024_000 },
  { parse: parseDuration, format: formatDuration, maximum: 3650 * 24 * 3_600_000 },
];

const near = mutatedText(
  fc.constantFrom('64Mi', '1Gi', '3Ki', '1500', '500m', '1.5', '1h30m', '500ms', '1m0.5s'),
  [
    ...[
      'Ki',
      'Mi',
      'Gi',
      'm',
      's',
      'ms',
      'h',
      '.',
      '-',
      '+',
      'e',
      '_',
      ' ',
      '0',
      '9',
      '999999999',
      '٣',
      '\n',
    ],
  ],
);

test(
  'anything is a whole number of its unit, not below zero, or nothing; and what is read is written and read again',
  () =>
    check(
      fc.property(fc.oneof(near, anyText, anyJson), (value) => {
        for (const { parse, format } of KINDS) {
          const number = parse(value);
          if (number === undefined) continue;
          assert.ok(Number.isSafeInteger(number) && number >= 0);
          assert.equal(parse(format(number)), number);
        }
      }),
    ),
  DEADLINE_MS,
);

test(
  'every number in range is written so that it is read back, shortest first',
  () =>
    check(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(2000),
        (kind, part, low) => {
          // Evenly over the range, and the small ones, where units change.
          for (const number of [Math.floor(part * kind.maximum), low, low * 1000, low * 1024, low * 60_000]) {
            if (number > kind.maximum) continue;
            assert.equal(kind.parse(kind.format(number)), number);
            assert.match(kind.format(number), /^[0-9.a-zA-Z]+$/);
          }
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'suffixes are powers of 1024 or of 1000, and a larger text is a larger number',
  () =>
    check(
      fc.property(
        fc.nat(1_000_000),
        fc.nat(1_000_000),
        fc.constantFrom(1, 1024, 1000),
        fc.constantFrom('k', 'M', 'G'),
        (a, b, power, letter) => {
          const binary = letter === 'k' ? 'Ki' : `${letter}i`;
          const suffix = power === 1 ? '' : power === 1000 ? letter : binary;
          assert.equal(parseBytes(`${a}${suffix}`), a * power ** ('kMG'.indexOf(letter) + 1));
          assert.equal((parseBytes(`${a}${suffix}`) ?? 0) < (parseBytes(`${b}${suffix}`) ?? 0), a < b);
        },
      ),
    ),
  DEADLINE_MS,
);
