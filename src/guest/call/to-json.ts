import { types } from 'node:util';

/** As deep as a result may be. */
const DEEPEST = 100;

// As they are before the program can change them.
const stringify = JSON.stringify.bind(JSON);
const isArray = Array.isArray.bind(Array);
const keys = Object.keys.bind(Object);

/** What JSON would lose, and what to return instead. */
const LOST: readonly (readonly [is: (value: unknown) => boolean, what: string, instead: string])[] = [
  [types.isMap, 'a Map', 'return Object.fromEntries(map)'],
  [types.isSet, 'a Set', 'return [...set]'],
  [types.isPromise, 'a promise', 'await it'],
  [types.isRegExp, 'a RegExp', 'return its source'],
  [types.isNativeError, 'an error', 'throw it, or return its message'],
  [
    (value) => types.isAnyArrayBuffer(value) || types.isTypedArray(value),
    'binary data',
    'return it as base64',
  ],
  [(value) => types.isWeakMap(value) || types.isWeakSet(value), 'a weak collection', 'return its members'],
];

/**
 * A result as JSON. A property that is undefined is left out, an undefined element is null, what has `toJSON` is what that
 * returns: a Date an ISO string.
 * @throws TypeError saying where something is that JSON has no form for
 */
export function toJson(value: unknown): string {
  const above = new Set<object>();
  const write = (given: unknown, key: string, path: string): string | undefined => {
    const at = (): string => (path === '' ? 'it' : `its ${path}`);
    const refuse = (what: string, instead: string): never => {
      throw new TypeError(`the result cannot be given as JSON: ${at()} is ${what}; ${instead}`);
    };
    const found = hasToJson(given) ? given.toJSON(key) : given;
    switch (typeof found) {
      case 'undefined':
        return undefined;
      case 'number':
        return Number.isFinite(found) ? stringify(found) : refuse(String(found), 'return null or a string');
      case 'bigint':
        return refuse('a BigInt', 'return it as a string');
      case 'function':
      case 'symbol':
        return refuse(`a ${typeof found}`, 'leave it out');
      case 'object':
        break;
      default:
        return stringify(found);
    }
    if (found === null) return 'null';
    if (types.isBoxedPrimitive(found)) return write(found.valueOf(), key, path);
    for (const [is, what, instead] of LOST) if (is(found)) refuse(what, instead);
    if (above.has(found)) refuse('a cycle', 'it contains itself');
    if (above.size >= DEEPEST) refuse(`more than ${DEEPEST} deep`, 'return something flatter');
    above.add(found);
    const inner = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const fields = found as Record<string, unknown>;
    const text = isArray(found)
      ? `[${Array.from(found, (one, index) => write(one, String(index), inner(String(index))) ?? 'null').join(',')}]`
      : `{${keys(found)
          .flatMap((name) => {
            const text = write(fields[name], name, inner(name));
            return text === undefined ? [] : [`${stringify(name)}:${text}`];
          })
          .join(',')}}`;
    above.delete(found);
    return text;
  };
  const text = write(value, '', '');
  return text ?? 'null';
}

const hasToJson = (value: unknown): value is { toJSON(key: string): unknown } =>
  typeof value === 'object' && value !== null && typeof (value as { toJSON?: unknown }).toJSON === 'function';
