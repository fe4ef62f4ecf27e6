import { describe, expect, test } from '@jest/globals';
import { canonicalJson } from '../../../src/model/canonical-json.js';
import {
  formatSignedStatement,
  parseSignedStatement,
  preAuthEncoding,
} from '../../../src/model/signed-statement.js';
import { STATEMENT_TYPE } from '../../../src/model/statement.js';

const statement = {
  _type: STATEMENT_TYPE,
  subject: [{ name: 'é', digest: { sha256: 'a'.repeat(64) } }],
  predicateType: 'https://example.com/x/v1',
  predicate: { b: 1, a: [2] },
};
const sig = Buffer.from('signature').toString('base64');
const text = formatSignedStatement(canonicalJson(statement), sig, { publicKey: { hint: 'x' } });
const bundle = JSON.parse(text) as { mediaType: string; dsseEnvelope: Record<string, unknown> };
const withEnvelope = (changes: object): string =>
  JSON.stringify({ ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, ...changes } });
const withPayload = (payload: string): string =>
  withEnvelope({ payload: Buffer.from(payload).toString('base64') });

test('what is written is read', () => {
  const signed = parseSignedStatement(text);
  expect(signed.statement).toEqual(statement);
  expect(signed.envelope.signatures).toEqual([{ sig }]);
  expect(JSON.parse(signed.text)).toEqual(bundle);
});

test('what is signed is the encoding of the DSSE specification, with the length in bytes', () => {
  expect(preAuthEncoding('é')).toBe('DSSEv1 28 application/vnd.in-toto+json 2 é');
});

describe('what is none is refused', () => {
  test.each([
    ['no JSON', 'receipt'],
    ['no object', '[]'],
    ['an envelope alone', JSON.stringify(bundle.dsseEnvelope)],
    ['another kind of bundle', JSON.stringify({ ...bundle, mediaType: 'application/json' })],
    ['a bundle over a blob', JSON.stringify({ mediaType: bundle.mediaType, messageSignature: {} })],
    ['another payload', withEnvelope({ payloadType: 'text/plain' })],
    ['no signature', withEnvelope({ signatures: [] })],
    ['two signatures', withEnvelope({ signatures: [{ sig }, { sig }] })],
    ['an empty signature', withEnvelope({ signatures: [{ sig: '' }] })],
    ['a payload that is not base64', withEnvelope({ payload: '*' })],
    ['a statement that is not JSON', withPayload('statement')],
    ['no statement', withPayload('{}')],
    ['another version of statements', withPayload(canonicalJson({ ...statement, _type: 'other' }))],
    ['a subject without a digest', withPayload(canonicalJson({ ...statement, subject: [{ name: 'x' }] }))],
    ['a statement not in canonical form', withPayload(JSON.stringify(statement))],
    [
      'a key that stands twice, which readers read differently',
      withPayload(canonicalJson(statement).replace('"predicate":', '"predicate":{"evil":1},"predicate":')),
    ],
  ])('%s', (_what, other) => {
    expect(() => parseSignedStatement(other)).toThrow(
      expect.objectContaining({ code: 'STATEMENT_INVALID', next: expect.any(String) }),
    );
  });

  test('more than anybody would write', () => {
    expect(() => parseSignedStatement(' '.repeat(16 * 1024 ** 2 + 1))).toThrow(/larger/);
  });
});

test('what stands beside the envelope twice is given on as it was read', () => {
  const doubled = text.replace('"mediaType"', '"dsseEnvelope":{"payload":"evil"},"mediaType"');
  expect(JSON.parse(parseSignedStatement(doubled).text)).toEqual(bundle);
  expect(parseSignedStatement(doubled).text).not.toContain('evil');
});
