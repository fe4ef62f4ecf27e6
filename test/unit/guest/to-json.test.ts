import { describe, expect, test } from '@jest/globals';
import { toJson } from '../../../src/guest/call/to-json.js';

class Point {
  readonly x = 1;
  readonly y = 2;
  get sum(): number {
    return this.x + this.y;
  }
}
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

describe('what has a form in JSON', () => {
  test.each<[string, unknown, string | undefined]>([
    ['undefined', undefined, undefined],
    ['null', null, 'null'],
    ['-0', -0, '0'],
    ['a large number', 1e21, '1e+21'],
    ['a lone surrogate', 'a\ud800b', String.raw`"a\ud800b"`],
    ['a lone surrogate as a key', { '\udfff': 1 }, String.raw`{"\udfff":1}`],
    ['undefined inside', { a: undefined, b: [undefined] }, '{"b":[null]}'],
    ['a hole', [1, , 2], '[1,null,2]'], // eslint-disable-line no-sparse-arrays
    ['a date', new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['a URL', new URL('http://a.test/b'), '"http://a.test/b"'],
    ['boxed primitives', [new Number(1), new String('a'), new Boolean(false)], '[1,"a",false]'],
    ['an instance', new Point(), '{"x":1,"y":2}'],
    ['a symbol as a key', { [Symbol('a')]: 1 }, '{}'],
    ['__proto__ as a key', JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
    ['no prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['toJSON', { toJSON: (key: string) => ({ key }) }, '{"key":""}'],
    ['toJSON inside', { a: { toJSON: (key: string) => key } }, '{"a":"a"}'],
    ['toJSON that gives undefined', { toJSON: () => undefined }, undefined],
    ['toJSON that gives undefined inside', [{ toJSON: () => undefined }], '[null]'],
    ['a Map that says how', Object.assign(new Map(), { toJSON: () => 'map' }), '"map"'],
    ['a proxy', new Proxy([1, 2], {}), '[1,2]'],
    ['the same twice, not in itself', ((one) => [one, one])({ a: 1 }), '[{"a":1},{"a":1}]'],
    ['a hundred levels', nested(100), `${'['.repeat(100)}1${']'.repeat(100)}`],
  ])('%s', (_, value, json) => expect(toJson(value)).toBe(json));
});

describe('what has none is an error that says where', () => {
  const cycle: Record<string, unknown> = {};
  cycle['a'] = [cycle];
  const endless = { toJSON: (): object => ({ next: { toJSON: endless.toJSON } }) };
  test.each<[string, unknown, string]>([
    ['NaN', NaN, 'it is NaN'],
    ['Infinity', [1, -Infinity], 'its 1 is -Infinity'],
    ['a boxed NaN', new Number(NaN), 'it is NaN'],
    ['a BigInt', { a: { b: 1n } }, 'its a.b is a BigInt'],
    ['a boxed BigInt', Object(1n), 'it is a BigInt'],
    ['a boxed symbol', Object(Symbol('a')), 'it is a symbol'],
    ['a function', { a: () => 1 }, 'its a is a function'],
    ['a symbol', [Symbol('a')], 'its 0 is a symbol'],
    ['a Map', new Map(), 'it is a Map; return Object.fromEntries(map)'],
    ['a Set', [new Set()], 'its 0 is a Set; return [...set]'],
    ['a WeakMap', new WeakMap(), 'it is a weak collection'],
    ['a promise', { a: Promise.resolve() }, 'its a is a promise; await it'],
    ['a regular expression', /a/, 'it is a RegExp'],
    ['an error', new Error('x'), 'it is an error; throw it'],
    ['a generator', (function* () {})(), 'it is a generator'],
    ['an asynchronous generator', (async function* () {})(), 'it is a generator'],
    ['an iterator', new Map().keys(), 'it is an iterator'],
    ['a buffer', Buffer.from('a'), 'it is binary data; return it as base64'],
    ['a view', new DataView(new ArrayBuffer(1)), 'it is binary data'],
    ['an invalid date', new Date(NaN), 'it is an invalid date'],
    ['a cycle', cycle, 'its a.0 is a cycle'],
    ['a hundred and one levels', nested(101), 'is more than 100 deep'],
    ['toJSON without an end', endless, 'is more than 100 deep'],
    ['toJSON that gives a BigInt', { toJSON: () => 1n }, 'it is a BigInt'],
  ])('%s', (_, value, message) => {
    let thrown: unknown;
    try {
      toJson(value);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: 'ResultError', stack: '' });
    expect((thrown as Error).message).toContain(message);
  });

  test.each<[string, unknown]>([
    ['a getter', { get a() { throw new RangeError('mine') } }], // prettier-ignore
    ['toJSON', { toJSON: () => { throw new RangeError('mine') } }], // prettier-ignore
    ['a proxy', new Proxy({}, { ownKeys: () => { throw new RangeError('mine') } })], // prettier-ignore
  ])('what %s throws is what the function threw', (_, value) =>
    expect(() => toJson(value)).toThrow(new RangeError('mine')),
  );
});
