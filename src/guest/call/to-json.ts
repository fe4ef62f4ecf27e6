import { types } from 'node:util';

/** As deep as a result may be; whoever reads it refuses what is deeper. */
const DEEPEST = 100;

// As they are before the program can change them.
const stringify = JSON.stringify.bind(JSON);
const isArray = Array.isArray.bind(Array);
const keys = Object.keys.bind(Object);

type Lost = readonly (readonly [is: (value: unknown) => boolean, what: string, instead: string])[];

/** What JSON would lose whatever its `toJSON` says, and what to return instead. */
const ALWAYS_LOST: Lost = [
  [
    (value) => types.isAnyArrayBuffer(value) || ArrayBuffer.isView(value),
    'binary data',
    'return it as base64',
  ],
  [
    (value) => types.isDate(value) && Number.isNaN(Number(value)),
    'an invalid date',
    'return null or a string',
  ],
];

/** What JSON would lose of what has no `toJSON`. */
const LOST: Lost = [
  [types.isMap, 'a Map', 'return Object.fromEntries(map)'],
  [types.isSet, 'a Set', 'return [...set]'],
  [types.isPromise, 'a promise', 'await it'],
  [types.isRegExp, 'a RegExp', 'return its source'],
  [types.isNativeError, 'an error', 'throw it, or return its message'],
  [types.isGeneratorObject, 'a generator', 'return a list of what it yields'],
  [(value) => types.isMapIterator(value) || types.isSetIterator(value), 'an iterator', 'return a list'],
  [(value) => types.isWeakMap(value) || types.isWeakSet(value), 'a weak collection', 'return its members'],
  [types.isBigIntObject, 'a BigInt', 'return it as a string'],
  [types.isSymbolObject, 'a symbol', 'leave it out'],
];

/** Says where in a result something is that JSON has no form for. Without a stack: it is nobody's line. */
class ResultError extends Error {
  override readonly name = 'ResultError';
  override readonly stack = '';
}

/**
 * A result as JSON; undefined for one that comes to undefined. A property that is undefined is left out, an undefined
 * element is null, what has `toJSON` is what that returns: a Date an ISO string.
 * @throws ResultError saying where something is that JSON has no form for
 */
export function toJson(value: unknown): string | undefined {
  const above = new Set<object>();
  const write = (given: unknown, key: string, path: string): string | undefined => {
    const refuse = (what: string, instead: string): never => {
      const where = path === '' ? 'it' : `its ${path.slice(0, 1000)}`;
      throw new ResultError(`the result cannot be given as JSON: ${where} is ${what}; ${instead}`);
    };
    const check = (lost: Lost, one: unknown): void => {
      for (const [is, what, instead] of lost) if (is(one)) refuse(what, instead);
    };
    check(ALWAYS_LOST, given);
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
    if (types.isNumberObject(found)) return write(Number(found), key, path);
    if (types.isStringObject(found)) return stringify(String(found));
    if (types.isBooleanObject(found)) return stringify(found);
    check(ALWAYS_LOST, found);
    check(LOST, found);
    if (above.has(found)) refuse('a cycle', 'it contains itself');
    if (above.size >= DEEPEST) refuse(`more than ${DEEPEST} deep`, 'return something flatter');
    above.add(found);
    const inner = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const parts: string[] = [];
    if (isArray(found)) {
      // A hole is null too.
      for (let at = 0; at < found.length; at += 1) {
        parts.push(write(found[at], String(at), inner(String(at))) ?? 'null');
      }
    } else {
      const fields = found as Record<string, unknown>;
      for (const name of keys(found)) {
        const text = write(fields[name], name, inner(name));
        if (text !== undefined) parts.push(`${stringify(name)}:${text}`);
      }
    }
    above.delete(found);
    return isArray(found) ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
  };
  return write(value, '', '');
}

const hasToJson = (value: unknown): value is { toJSON(key: string): unknown } =>
  typeof value === 'object' && value !== null && typeof (value as { toJSON?: unknown }).toJSON === 'function';
