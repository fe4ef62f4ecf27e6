import { createPublicKey } from 'node:crypto';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { SjsError, type ErrorCode } from '../../../../src/errors.js';
import type { ResolvedBase } from '../../../../src/model/base.js';
import { sha256 } from '../../../../src/model/digest.js';
import type { BaseRule, TrustedKey } from '../../../../src/model/policy.js';
import type { SignatureVerifier, VerifiedPayload } from '../../../../src/ports/signature-verifier.js';
import { verifyBase } from '../../../../src/stages/verify/verify-base.js';
import { makeBase } from '../../../support/sandbox.js';
import {
  createFakeSignatureVerifier,
  makePublicKey,
  type FakeSignatureVerifier,
} from '../../../support/fake-signature-verifier.js';

const REPOSITORY = 'registry.example.com/base/node';
const NOW = Date.parse('2026-06-01T00:00:00Z');
const clock = { now: () => NOW, monotonic: () => 0 };
const base: ResolvedBase = makeBase({ version: '24.1.0' });
const digest = base.digest;

const KEY = makePublicKey();
const OTHER_KEY = makePublicKey();
const makeKey = (fields: Partial<TrustedKey> = {}): TrustedKey => ({
  publicKey: KEY,
  notBefore: null,
  notAfter: null,
  ...fields,
});
const makeRule = (fields: Partial<BaseRule> = {}): BaseRule => ({
  repository: REPOSITORY,
  mirrors: [],
  keys: [makeKey()],
  keyless: null,
  trustedRoot: null,
  annotations: {},
  attestations: [],
  transparencyLog: 'none',
  allowSetuidFiles: false,
  location: { file: '/policy.yaml', line: 3 },
  ...fields,
});

let verifier: FakeSignatureVerifier;
const sign = (payload: Partial<VerifiedPayload> = {}, publicKey = KEY): void =>
  verifier.addSignature({ ...base.repository, digest }, publicKey, {
    dockerReference: REPOSITORY,
    annotations: { version: '24.1.0', repository: REPOSITORY },
    ...payload,
  });
const verify = (
  alternatives: readonly (readonly BaseRule[])[] = [[makeRule()]],
  resolved: ResolvedBase = base,
  using: SignatureVerifier = verifier,
) =>
  verifyBase(
    resolved,
    { repository: `${resolved.repository.registry}/${resolved.repository.path}`, alternatives },
    using,
    clock,
  );
const refusal = (code: ErrorCode) => expect.objectContaining({ code });

beforeEach(() => {
  verifier = createFakeSignatureVerifier();
});

describe('a base that verifies', () => {
  test('carries who signed it, what was signed, and which rule trusts it', async () => {
    sign();
    const verified = await verify();
    expect(verified).toMatchObject({
      ...base,
      signature: {
        keyFingerprint: sha256(createPublicKey(KEY).export({ type: 'spki', format: 'der' })),
        annotations: { version: '24.1.0', repository: REPOSITORY },
        rule: '/policy.yaml:3',
      },
      signedVersion: '24.1.0',
      allowSetuidFiles: false,
    });
  });

  test('is asked about by the digest that the tag named, once for each key', async () => {
    sign();
    await verify([[makeRule(), makeRule()], [makeRule()]]);
    expect(verifier.questions).toEqual([`${REPOSITORY}@${digest}`]);
  });

  test('tells the version of a pin', async () => {
    sign();
    await expect(verify(undefined, { ...base, version: null })).resolves.toMatchObject({
      signedVersion: '24.1.0',
    });
    verifier = createFakeSignatureVerifier();
    sign({ annotations: {} });
    await expect(verify(undefined, { ...base, version: null })).resolves.toMatchObject({
      signedVersion: null,
    });
  });

  test('needs one fitting signature of several', async () => {
    sign({ annotations: { version: '24.0.0', repository: REPOSITORY } });
    sign();
    await expect(verify()).resolves.toMatchObject({ signedVersion: '24.1.0' });
  });

  test('needs one key of several, and one rule of several', async () => {
    sign();
    await expect(
      verify([[makeRule({ keys: [makeKey({ publicKey: OTHER_KEY }), makeKey()] })]]),
    ).resolves.toBeDefined();
    await expect(
      verify([[makeRule({ keys: [makeKey({ publicKey: OTHER_KEY })] }), makeRule()]]),
    ).resolves.toBeDefined();
  });

  test('may hold setuid files only when every layer allows it', async () => {
    sign();
    const lax = makeRule({ allowSetuidFiles: true });
    await expect(verify([[lax]])).resolves.toMatchObject({ allowSetuidFiles: true });
    await expect(verify([[makeRule(), lax], [lax]])).resolves.toMatchObject({ allowSetuidFiles: true });
    await expect(verify([[lax], [makeRule()]])).resolves.toMatchObject({ allowSetuidFiles: false });
  });

  test('may be signed for its repository by docker-reference alone', async () => {
    sign({ annotations: { version: '24.1.0' }, dockerReference: `${REPOSITORY}:24.1.0` });
    await expect(verify()).resolves.toBeDefined();
  });
});

describe('a base that does not', () => {
  test('no rule, in one layer or at all', async () => {
    sign();
    for (const alternatives of [[], [[]], [[makeRule()], []]]) {
      await expect(verify(alternatives)).rejects.toEqual(refusal('BASE_UNTRUSTED'));
    }
  });

  test('rules that were looked up for another repository', async () => {
    sign();
    const requirement = { repository: 'registry.example.com/other', alternatives: [[makeRule()]] };
    await expect(verifyBase(base, requirement, verifier, clock)).rejects.toEqual(refusal('BASE_UNTRUSTED'));
  });

  test('no signature, or another key’s', async () => {
    await expect(verify()).rejects.toEqual(refusal('BASE_UNVERIFIED'));
    sign({}, OTHER_KEY);
    await expect(verify()).rejects.toEqual(refusal('BASE_KEY_MISMATCH'));
  });

  test('one layer is content and the other is not', async () => {
    sign();
    const strict = makeRule({ keys: [makeKey({ publicKey: OTHER_KEY })] });
    await expect(verify([[makeRule()], [strict]])).rejects.toEqual(refusal('BASE_KEY_MISMATCH'));
  });

  test('an old image under a newer tag, and a signature without a version', async () => {
    sign({ annotations: { version: '24.0.0', repository: REPOSITORY } });
    await expect(verify()).rejects.toEqual(refusal('BASE_VERSION_MISMATCH'));
    verifier = createFakeSignatureVerifier();
    sign({ annotations: { repository: REPOSITORY } });
    await expect(verify()).rejects.toEqual(refusal('BASE_VERSION_MISMATCH'));
  });

  test.each<[string, Partial<VerifiedPayload>]>([
    [
      'for another repository',
      { annotations: { version: '24.1.0', repository: 'registry.example.com/base/deno' } },
    ],
    [
      'for another repository, whatever docker-reference says',
      { annotations: { version: '24.1.0', repository: 'evil.example.com/x' } },
    ],
    [
      'for another docker-reference',
      { annotations: { version: '24.1.0' }, dockerReference: 'registry.example.com/base/deno' },
    ],
    ['for no repository', { annotations: { version: '24.1.0' }, dockerReference: null }],
    ['for nonsense', { annotations: { version: '24.1.0' }, dockerReference: 'A B' }],
  ])('signed %s', async (_what, payload) => {
    sign(payload);
    await expect(verify()).rejects.toEqual(refusal('BASE_REPOSITORY_MISMATCH'));
    await expect(verify([[makeRule({ repository: 'registry.example.com/**' })]])).rejects.toEqual(
      refusal('BASE_REPOSITORY_MISMATCH'),
    );
  });

  test('an annotation of the rule that is absent or other', async () => {
    sign({ annotations: { version: '24.1.0', repository: REPOSITORY, env: 'test' } });
    for (const annotations of [{ env: 'prod' }, { team: 'x' }]) {
      await expect(verify([[makeRule({ annotations })]])).rejects.toEqual(refusal('BASE_UNVERIFIED'));
    }
    await expect(verify([[makeRule({ annotations: { env: 'test' } })]])).resolves.toBeDefined();
  });
});

describe('mirrors', () => {
  const mirrored: ResolvedBase = { ...base, repository: { registry: 'mirror.example.com', path: 'node' } };
  const at = (payload: VerifiedPayload['annotations']): void =>
    verifier.addSignature({ ...mirrored.repository, digest }, KEY, {
      dockerReference: null,
      annotations: payload,
    });

  test('serve what is signed for the rule’s repository', async () => {
    at({ version: '24.1.0', repository: REPOSITORY });
    await expect(
      verify([[makeRule({ mirrors: ['mirror.example.com/*'] })]], mirrored),
    ).resolves.toBeDefined();
    await expect(verify([[makeRule({ mirrors: ['other.example.com/*'] })]], mirrored)).rejects.toEqual(
      refusal('BASE_REPOSITORY_MISMATCH'),
    );
  });

  test('and nothing else', async () => {
    at({ version: '24.1.0', repository: 'mirror.example.com/node' });
    await expect(verify([[makeRule({ mirrors: ['mirror.example.com/*'] })]], mirrored)).rejects.toEqual(
      refusal('BASE_REPOSITORY_MISMATCH'),
    );
  });
});

describe('keys', () => {
  test.each([
    ['not yet', { notBefore: '2026-06-02T00:00:00Z' }],
    ['no more', { notAfter: '2026-05-31T23:59:59Z' }],
  ])('that are valid %s do not count', async (_when, dates) => {
    sign();
    await expect(verify([[makeRule({ keys: [makeKey(dates)] })]])).rejects.toEqual(
      refusal('BASE_KEY_OUT_OF_DATE'),
    );
    expect(verifier.questions).toEqual([]);
    await expect(verify([[makeRule({ keys: [makeKey(dates), makeKey()] })]])).resolves.toBeDefined();
  });

  test('count within their dates, the bounds included', async () => {
    sign();
    const dates = { notBefore: '2026-06-01T00:00:00Z', notAfter: '2026-06-01T00:00:00Z' };
    await expect(verify([[makeRule({ keys: [makeKey(dates)] })]])).resolves.toBeDefined();
  });

  test.each([
    ['a key that is none', { publicKey: 'x' }],
    ['a private key', { publicKey: '-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n' }],
    ['a date that is none', { notAfter: 'soon' }],
  ])('%s is an invalid policy', async (_what, fields) => {
    await expect(verify([[makeRule({ keys: [makeKey(fields)] })]])).rejects.toEqual(
      refusal('POLICY_INVALID'),
    );
  });

  test('no keys at all trust nothing', async () => {
    sign();
    await expect(verify([[makeRule({ keys: [] })]])).rejects.toEqual(refusal('BASE_KEY_OUT_OF_DATE'));
  });
});

describe('the refusal that is reported', () => {
  const failing = (code: ErrorCode): SignatureVerifier => ({
    ...verifier,
    verify: ({ signer }) =>
      Promise.reject(
        new SjsError('publicKey' in signer && signer.publicKey === KEY ? code : 'BASE_KEY_MISMATCH', 'x', {
          next: 'y',
        }),
      ),
  });

  test.each<ErrorCode>([
    'COSIGN_MISSING',
    'COSIGN_TIMEOUT',
    'COSIGN_INVALID_ANSWER',
    'REGISTRY_UNREACHABLE',
    'ABORTED',
  ])('%s before a mismatch of another rule', async (code) => {
    const other = makeRule({ keys: [makeKey({ publicKey: OTHER_KEY })] });
    for (const rules of [
      [other, makeRule()],
      [makeRule(), other],
    ]) {
      await expect(verify([rules], base, failing(code))).rejects.toEqual(refusal(code));
    }
  });

  test('the check that got furthest before those that did not', async () => {
    sign({ annotations: { version: '24.0.0', repository: REPOSITORY } });
    const other = makeRule({ keys: [makeKey({ publicKey: OTHER_KEY })] });
    const old = makeRule({ keys: [makeKey({ notAfter: '2020-01-01T00:00:00Z' })] });
    await expect(verify([[other, old, makeRule()]])).rejects.toEqual(refusal('BASE_VERSION_MISMATCH'));
    await expect(verify([[other, old]])).rejects.toEqual(refusal('BASE_KEY_OUT_OF_DATE'));
  });

  test('a verifier that lies is not believed', async () => {
    const payload = {
      digest: sha256('other'),
      dockerReference: REPOSITORY,
      annotations: { version: '24.1.0' },
    };
    const lying = { ...verifier, verify: () => Promise.resolve([payload]) };
    await expect(verify(undefined, base, lying)).rejects.toEqual(refusal('BASE_DIGEST_MISMATCH'));
    const empty = { ...verifier, verify: () => Promise.resolve([]) };
    await expect(verify(undefined, base, empty)).rejects.toEqual(refusal('COSIGN_INVALID_ANSWER'));
  });
});

test('an annotation that a policy asks for is shown without what steers a terminal', async () => {
  sign();
  await expect(verify([[makeRule({ annotations: { team: 'a\u001b[2J' } })]])).rejects.toMatchObject({
    message: expect.stringContaining('team=a\\x1b[2J'),
  });
});

test.each(['toString', 'constructor', 'valueOf'])(
  'an annotation named %s that a policy asks for is missing when it is not signed',
  async (name) => {
    sign();
    await expect(verify([[makeRule({ annotations: { [name]: 'x' } })]])).rejects.toEqual(
      refusal('BASE_UNVERIFIED'),
    );
  },
);
