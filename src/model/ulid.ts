/** Crockford's base 32: no I, L, O, U. Sorts like the numbers it stands for. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const RANDOM_BITS = 80n;

let last = -1n;

/**
 * A ULID (github.com/ulid/spec): 48 bits of time and 80 of randomness in 26 characters. Later ones of this process
 * always sort after earlier ones, also within a millisecond and when the clock goes back.
 * @param nowMs milliseconds since the epoch
 * @param random ten bytes from a cryptographic source
 */
export function createUlid(nowMs: number, random: Uint8Array): string {
  if (random.length !== 10) throw new RangeError('a ULID needs ten random bytes');
  const fresh =
    (BigInt(Math.trunc(nowMs)) << RANDOM_BITS) |
    BigInt(`0x${Buffer.from(random.buffer, random.byteOffset, random.length).toString('hex')}`);
  last = fresh >> RANDOM_BITS > last >> RANDOM_BITS ? fresh : last + 1n;
  return encode(last);
}

/** Whether the text is a ULID in upper case, as sjs writes them. */
export function isUlid(text: unknown): text is string {
  return typeof text === 'string' && PATTERN.test(text);
}

/** Milliseconds since the epoch at which a ULID was made. */
export function timeOfUlid(ulid: string): number {
  return [...ulid.slice(0, 10)].reduce((time, char) => time * 32 + ALPHABET.indexOf(char), 0);
}

function encode(value: bigint): string {
  let text = '';
  for (let rest = value, i = 0; i < 26; i += 1, rest >>= 5n) text = ALPHABET[Number(rest & 31n)] + text;
  return text;
}
