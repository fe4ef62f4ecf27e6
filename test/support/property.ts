import fc from 'fast-check';
import { ERROR_CODES, SjsError } from '../../src/errors.js';

/** How many cases each property is tried with. */
export const RUNS = 10_000;

/** Longest time a property may take before jest calls it hung. */
export const DEADLINE_MS = 900_000;

/** The same cases every time, so that a change fails by what it changed; `SJS_TEST_SEED=<number>` tries others. */
const SEED = Number(process.env['SJS_TEST_SEED'] ?? 1);

// Most cases make an error, the refusal, and jest has each keep a hundred frames of its stack.
Error.stackTraceLimit = 10;

/**
 * Tries a property {@link RUNS} times, or less often where a case takes long. A failure prints the seed and path with
 * which it happens again.
 */
export async function check<T>(property: fc.IRawProperty<T>, numRuns = RUNS): Promise<void> {
  await fc.assert(property as fc.IAsyncProperty<T>, { numRuns, seed: SEED, endOnFailure: true });
}

/** What no message may hold: it would steer a terminal, or mislead whoever reads it. */
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** The refusal, if a caller may see it: an {@link SjsError} with a code that says something. Fails otherwise. */
export function asRefusal(error: unknown): SjsError {
  if (!(error instanceof SjsError) || error.code === 'INTERNAL' || !Object.hasOwn(ERROR_CODES, error.code))
    throw new Error(`neither a value nor a refusal: ${String(error)}`, { cause: error });
  const texts = [error.message, error.next ?? '', ...error.problems.map(({ message }) => message)];
  const unsafe = texts.find((text) => UNSAFE.test(text));
  if (unsafe !== undefined) throw new Error(`an unsafe message: ${JSON.stringify(unsafe)}`, { cause: error });
  return error;
}

/** What the call returns, or its refusal. */
export function attempt<T>(call: () => T): T | SjsError {
  try {
    return call();
  } catch (error) {
    return asRefusal(error);
  }
}

/** What the call comes to, or its refusal. */
export async function attemptAsync<T>(call: () => Promise<T>): Promise<T | SjsError> {
  try {
    return await call();
  } catch (error) {
    return asRefusal(error);
  }
}

/** Names and texts that have broken parsers before. */
const WORDS = [
  ...[
    '',
    ' ',
    '.',
    '..',
    '/',
    '~',
    '-',
    '--',
    '#',
    '\\',
    '"',
    "'",
    '`',
    '$',
    '${x}',
    '{{env}}',
    '<<',
    '*',
    '**',
  ],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'toJSON', 'x-y', 'then'],
  ...['null', 'true', 'NaN', '.inf', '1e999', '-0', '0x10', '0o7', '1_000', '9007199254740993', '2024-01-01'],
  ...[
    '\0',
    '\n',
    '\r\n',
    '\t',
    '\u0085',
    '\u2028',
    '\u202e',
    '\u200b',
    '\ufeff',
    '\u001b[2J',
    '\ud83d',
    '\ude00',
  ],
  ...['é', 'e\u0301', '日本', '😀', 'İ', 'ß', 'ﬁ', '\u{e0041}', '\u{10ffff}'],
];

/** Any code unit, halves of surrogate pairs too. */
const codeUnit = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
  { weight: 1, arbitrary: fc.nat(0xffff) },
);

/** Any text: what has broken parsers, ASCII, all of Unicode, halves of characters. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...WORDS),
  fc.array(codeUnit, { maxLength: 24 }).map((units) => String.fromCharCode(...units)),
  fc.array(fc.constantFrom(...WORDS), { maxLength: 4 }).map((words) => words.join('')),
);

/** Any text in which every character can be seen. */
export const visibleText: fc.Arbitrary<string> = fc
  .string({ unit: 'grapheme', maxLength: 24 })
  .map((text) => text.replace(/[\p{C}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu, ''));

const anyNumber = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, -1, 1e21, 1e308, Infinity, 2 ** 53, 2 ** 53 + 2, -(2 ** 31)),
);

/** Any value that JSON text can stand for, `1e999` and own keys such as `__proto__` too. */
export const anyJson: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(anyText, anyNumber, fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(anyText, tie('value')), { maxLength: 3 })
      .map((entries) => Object.fromEntries(entries) as unknown),
  ),
})).value;

/** JSON text of a value, with infinite numbers as the numbers too large that they come from. */
export function toJson(value: unknown): string {
  const infinite = 'infinite-7f3a';
  return (
    JSON.stringify(value, (_key, item: unknown) =>
      item === Infinity ? infinite : item === -Infinity ? `-${infinite}` : item,
    ) ?? 'null'
  ).replaceAll(new RegExp(`"(-?)${infinite}"`, 'g'), '$11e999');
}

/** The value with one to three places in it replaced, removed, or put beside something new. */
export function mutated(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const edit = fc.record({ at: fc.nat(), how: fc.nat(3), key: anyText, item: anyJson });
  return fc
    .tuple(value, fc.array(edit, { minLength: 1, maxLength: 3 }))
    .map(([start, edits]) =>
      edits.reduce<unknown>((now, { at, how, key, item }) => apply(now, at, how, key, item), start),
    );
}

function apply(value: unknown, at: number, how: number, key: string, item: unknown): unknown {
  const copy = structuredClone(value);
  const places: { parent: Record<string, unknown>; key: string }[] = [];
  const visit = (parent: unknown): void => {
    if (typeof parent !== 'object' || parent === null) return;
    for (const [name, child] of Object.entries(parent)) {
      places.push({ parent: parent as Record<string, unknown>, key: name });
      visit(child);
    }
  };
  visit(copy);
  const place = places[at % (places.length + 1)];
  if (!place) return item;
  const define = (name: string): unknown =>
    Object.defineProperty(place.parent, name, {
      value: item,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  if (how === 0) Reflect.deleteProperty(place.parent, place.key);
  else if (how === 1) define(Array.isArray(place.parent) ? String(place.parent.length) : key);
  else define(place.key);
  return copy;
}

/** The text with some of it cut out, doubled, or something put between. */
export function mutatedText(text: fc.Arbitrary<string>, tokens: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.nat(),
    length: fc.nat(12),
    how: fc.nat(3),
    token: fc.oneof(fc.constantFrom(...tokens), anyText),
  });
  return fc.tuple(text, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([start, edits]) =>
    edits.reduce((now, { at, length, how, token }) => {
      const from = at % (now.length + 1);
      const part = now.slice(from, from + length);
      const put = how === 0 ? '' : how === 1 ? part + part : how === 2 ? token + part : token;
      return now.slice(0, from) + put + now.slice(from + length);
    }, start),
  );
}

/** The bytes cut into chunks, empty ones too, at the given places. */
export function cutBytes(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.slice(places[index], end));
}
