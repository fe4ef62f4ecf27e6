import { generateKeyPairSync } from 'node:crypto';
import { beforeEach, expect, test } from '@jest/globals';
import { SjsError, type ErrorCode } from '../../../src/errors.js';
import { makeProof, withProof } from '../../../src/flows/trust-seal.js';
import { verifySealedImage } from '../../../src/flows/verify-sandbox.js';
import { sha256 } from '../../../src/model/digest.js';
import { computeSeal, formatTag } from '../../../src/model/sealed-image.js';
import type { VerifyRequest } from '../../../src/ports/signature-verifier.js';
import { fingerprintOf } from '../../../src/stages/verify/trusted-keys.js';
import { createFakeSignatureVerifier } from '../../support/fake-signature-verifier.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { loadPolicies, signerRule } from '../../support/policy.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';
import { until } from '../../support/until.js';
import { cleanFolders } from '../../support/world.js';

cleanFolders();

const REPOSITORY = 'r.example/sandboxes/job';
const pem = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .publicKey.export({ type: 'spki', format: 'pem' })
    .toString();
const [KEY, OTHER_KEY] = [pem(), pem()];
const rule = (repository: string, key: string): string =>
  signerRule(repository, '      transparencyLog: none\n', key).replace(/^/gm, '  ').trimEnd();
const trusting = (...rules: readonly string[]) =>
  loadPolicies(rules.length === 0 ? '' : `sealed:\n  signers:\n${rules.join('\n')}\n`);
const image = makeImage();
const seal = computeSeal(image);
const tag = formatTag('job', '1.0.0', seal);
const clock = { now: () => Date.parse('2026-06-01T00:00:00Z'), monotonic: () => 0 };

let store: ReturnType<typeof createMemoryRecordStore>;

/** A seal that was made here and signed twice: in a registry, which was verified then, and as a statement. */
beforeEach(async () => {
  store = createMemoryRecordStore();
  const signer = {
    name: 'the key',
    keyFingerprint: fingerprintOf(KEY),
    publicKey: KEY,
    keyless: null,
    trustedRoot: null,
    transparencyLog: 'none',
    annotations: {},
    signedRepository: REPOSITORY,
    attestations: [],
  } as const;
  const found = { repository: REPOSITORY, digest: sha256('pushed'), signers: [signer] };
  const proof = await makeProof(seal, found, [sha256('index')], { store, clock });
  await store.saveImage(withProof(makeEntry('job', { seal, tag }), proof));
  await store.saveSealStatement(seal, 'signed');
});

/** What verify --offline says, while checking the statement fails so. */
async function verifyOffline(code: ErrorCode, ...rules: readonly string[]) {
  const policy = await trusting(...rules);
  const tools = {
    store,
    clock,
    verifier: createFakeSignatureVerifier(),
    statements: { verifyStatement: () => Promise.reject(new SjsError(code, code)) },
    images: { inspect: () => Promise.resolve(image) },
    loadPolicy: () => Promise.resolve(policy),
  };
  return verifySealedImage(
    tag,
    { offline: true },
    tools as unknown as Parameters<typeof verifySealedImage>[2],
  );
}

const ofRegistry = rule('r.example/sandboxes/*', KEY);
const ofStatements = rule('sjs/*', OTHER_KEY);

test('offline, a statement that does not count is passed over where a signature of a registry does', async () => {
  const signature = { repository: REPOSITORY, digest: sha256('pushed'), statementFile: null };
  // By a key that is not trusted, or of a name for which nobody is.
  for (const rules of [[ofRegistry, ofStatements], [ofRegistry]])
    expect(await verifyOffline('STATEMENT_UNVERIFIED', ...rules)).toMatchObject({ signature });
});

test('offline, what counts by neither is refused as the statement is, and one that was changed always', async () => {
  await expect(verifyOffline('STATEMENT_UNVERIFIED', ofStatements)).rejects.toMatchObject({
    code: 'STATEMENT_UNVERIFIED',
  });
  await expect(verifyOffline('STATEMENT_CHANGED', ofRegistry, ofStatements)).rejects.toMatchObject({
    code: 'STATEMENT_CHANGED',
  });
});

test('cosign is asked while the engine looks, and its answers do not count for an image that is not the one', async () => {
  const policy = await trusting(ofRegistry);
  const verifier = createFakeSignatureVerifier();
  const signals: (AbortSignal | undefined)[] = [];
  const digest = sha256('pushed');
  const pushed = [{ repository: REPOSITORY, digest, publicKey: KEY, at: '2026-01-02T03:04:05.000Z' }];
  await store.saveImage(makeEntry('job', { seal, tag, pushed }));
  const tools = {
    store,
    clock,
    verifier: {
      ...verifier,
      verify: (request: VerifyRequest, signal?: AbortSignal) => {
        signals.push(signal);
        return verifier.verify(request, signal);
      },
    },
    images: {
      platform: () => Promise.resolve({ os: 'linux', architecture: 'amd64' }),
      // The engine's answer waits for the questions.
      inspect: async () => {
        await until('a question', () =>
          Promise.resolve(verifier.questions.includes(`${REPOSITORY}@${digest}`)),
        );
        return makeImage({ version: '6.6.6' });
      },
    },
    loadPolicy: () => Promise.resolve(policy),
  };
  await expect(
    verifySealedImage(tag, { offline: false }, tools as unknown as Parameters<typeof verifySealedImage>[2]),
  ).rejects.toMatchObject({ code: 'SEAL_MISMATCH' });
  expect(new Set(verifier.questions).size).toBe(verifier.questions.length);
  // What nobody waits for any more is not left running.
  expect(signals).not.toEqual([]);
  expect(signals.every((signal) => signal?.aborted)).toBe(true);
});
