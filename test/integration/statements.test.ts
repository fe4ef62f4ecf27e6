import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createCosignStatements } from '../../src/adapters/cosign/cosign-statements.js';
import { canonicalJson } from '../../src/model/canonical-json.js';
import { hexOf, sha256 } from '../../src/model/digest.js';
import { parseSigningKey } from '../../src/model/signing-key.js';
import { STATEMENT_TYPE, type Statement } from '../../src/model/statement.js';
import type { StatementSigner } from '../../src/ports/statement-signer.js';
import { makeAuthority, makeCertificate, type CertificateAuthority } from '../support/certificates.js';
import { checkWithCosign } from '../support/check-statement.js';
import { COSIGN_2, COSIGN_3, describeCosigns, runCosign } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { makeTrustedRoot } from '../support/trusted-root.js';

jest.setTimeout(60_000);

const PREDICATE_TYPE = 'https://example.com/kept/v1';
const CONTENT = 'what the statement is about\n';
const statement: Statement = {
  _type: STATEMENT_TYPE,
  subject: ['sealed', CONTENT].map((content) => ({
    name: content.slice(0, 6),
    digest: { sha256: hexOf(sha256(content)) },
  })),
  predicateType: PREDICATE_TYPE,
  predicate: { text: '<é&>\u2028😀', number: 1e21 },
};

describeCosigns('statements', (generation) => {
  let made: Awaited<ReturnType<typeof makeCosignKeys>>;
  let ours: CosignKey;
  let theirs: CosignKey;
  let signer: StatementSigner;
  let signed: string;
  const file = (name: string): string => join(made.folder, name);
  const question = (changes: object = {}) => ({
    signed,
    predicateType: PREDICATE_TYPE,
    signer: { publicKey: ours.publicKey },
    trustedRoot: null,
    transparencyLog: 'none' as const,
    ...changes,
  });
  beforeAll(async () => {
    made = await makeCosignKeys(2, generation);
    [ours, theirs] = made.keys as [CosignKey, CosignKey];
    signer = createCosignStatements({ env: { PATH: generation.path }, home: made.folder });
    signed = await signer.signStatement(statement, parseSigningKey(ours.keyFile));
    await Promise.all([writeFile(file('blob'), CONTENT), writeFile(file('other'), 'another content')]);
  });
  afterAll(() => made?.remove());

  test('what was signed verifies by the key, and says the same', async () => {
    await expect(signer.verifyStatement(question())).resolves.toEqual(statement);
    const { dsseEnvelope } = JSON.parse(signed) as { dsseEnvelope: { payload: string } };
    expect(Buffer.from(dsseEnvelope.payload, 'base64').toString()).toBe(canonicalJson(statement));
  });

  test('plain cosign of both generations agrees, for each thing that it is about and no other', async () => {
    await writeFile(file('signed.json'), signed);
    const given = {
      file: file('signed.json'),
      publicKeyFile: ours.keyFile.replace(/key$/, 'pub'),
      predicateType: PREDICATE_TYPE,
      about: { blob: file('blob') },
    };
    for (const stranger of [COSIGN_2, ...(process.env['SJS_TEST_COSIGN3'] === 'skip' ? [] : [COSIGN_3])]) {
      await checkWithCosign(stranger, given);
      await expect(checkWithCosign(stranger, { ...given, about: { blob: file('other') } })).rejects.toThrow(
        /subject|digest/,
      );
      const publicKeyFile = theirs.keyFile.replace(/key$/, 'pub');
      await expect(checkWithCosign(stranger, { ...given, publicKeyFile })).rejects.toThrow(/threshold/);
    }
  });

  test('another key, another content and another signature are refused', async () => {
    const unverified = { code: 'STATEMENT_UNVERIFIED', message: expect.stringContaining('the trusted key') };
    const ask = (changes: object) => signer.verifyStatement(question(changes));
    await expect(ask({ signer: { publicKey: theirs.publicKey } })).rejects.toMatchObject(unverified);
    const bundle = JSON.parse(signed) as { dsseEnvelope: { signatures: { sig: string }[] } };
    const changed = Buffer.from(canonicalJson({ ...statement, predicate: {} })).toString('base64');
    const others = {
      payload: { ...bundle.dsseEnvelope, payload: changed },
      signature: { ...bundle.dsseEnvelope, signatures: [{ sig: Buffer.from('none').toString('base64') }] },
    };
    for (const dsseEnvelope of Object.values(others)) {
      const changes = { signed: JSON.stringify({ ...bundle, dsseEnvelope }) };
      await expect(ask(changes)).rejects.toMatchObject({ code: 'STATEMENT_CHANGED' });
      // Which key it is by, the file alone says: whoever edits that changes the words of the refusal, and nothing else.
      const signed = JSON.stringify({ ...bundle, verificationMaterial: {}, dsseEnvelope });
      await expect(ask({ signed })).rejects.toMatchObject({ code: expect.stringMatching('STATEMENT_') });
    }
    await expect(ask({ predicateType: 'https://example.com/other/v1' })).rejects.toMatchObject({
      code: 'STATEMENT_INVALID',
    });
  });

  test('a key file that is none signs nothing', async () => {
    await expect(signer.signStatement(statement, parseSigningKey(file('blob')))).rejects.toMatchObject({
      code: 'COSIGN_FAILED',
    });
  });

  const ISSUER = 'https://issuer.example.com';
  const IDENTITY = 'https://github.com/acme/jobs/run.yml@refs/heads/main';
  const keyless = (changes: object = {}) => ({
    issuer: ISSUER,
    identity: IDENTITY,
    identityPattern: null,
    caRoots: null,
    ...changes,
  });

  if (generation.signsWith === 'flags') {
    test('cosign 2 says that it cannot check certificates and logs', async () => {
      for (const changes of [{ signer: keyless() }, { transparencyLog: 'required' as const }]) {
        await expect(signer.verifyStatement(question(changes))).rejects.toMatchObject({
          code: 'COSIGN_UNSUPPORTED',
          message: expect.stringContaining('cosign 2'),
        });
      }
    });
  } else {
    test('a statement signed with a certificate verifies by identity and authority, and by no other', async () => {
      const authority = makeAuthority(made.folder, 'own');
      const certified = await attest(authority);
      const ask = (changes: object, trust: object = { caRoots: authority.pem }) =>
        signer.verifyStatement(question({ signed: certified, signer: keyless({ ...trust, ...changes }) }));
      await expect(ask({})).resolves.toEqual(statement);
      const unverified = { code: 'STATEMENT_UNVERIFIED', message: expect.stringContaining('identity') };
      await expect(ask({ identity: `${IDENTITY}s` })).rejects.toMatchObject(unverified);
      await expect(ask({ issuer: `${ISSUER}.evil.example` })).rejects.toMatchObject(unverified);
      const evil = makeAuthority(made.folder, 'evil');
      await expect(ask({}, { caRoots: evil.pem })).rejects.toMatchObject(unverified);
      await expect(signer.verifyStatement(question({ signed: certified }))).rejects.toMatchObject({
        code: 'STATEMENT_UNVERIFIED',
      });
    });

    test('what is in no log is refused where one is asked for', async () => {
      const trustedRoot = makeTrustedRoot({ logs: [ours.publicKey] });
      await expect(
        signer.verifyStatement(question({ transparencyLog: 'required', trustedRoot })),
      ).rejects.toMatchObject({ code: 'STATEMENT_UNVERIFIED' });
    });
  }

  /** Has cosign 3 itself sign the statement, with a certificate for the key. */
  async function attest(authority: CertificateAuthority): Promise<string> {
    const { certificateFile } = authority;
    const whom = { subject: `URI:${IDENTITY}`, issuer: ISSUER };
    const leaf = makeCertificate(made.folder, 'leaf', authority, ours.publicKey, whom);
    const config = {
      mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
      rekorTlogConfig: {},
      tsaConfig: {},
    };
    await writeFile(file('statement.json'), canonicalJson(statement));
    await writeFile(file('config.json'), JSON.stringify(config));
    await writeFile(file('root.json'), makeTrustedRoot({ authorities: [[authority.pem]] }));
    await runCosign(generation, [
      ...['attest-blob', '--key', ours.keyFile, '--yes', '--statement', file('statement.json')],
      ...['--certificate', leaf, '--certificate-chain', certificateFile, '--bundle', file('certified.json')],
      ...['--signing-config', file('config.json'), '--trusted-root', file('root.json')],
    ]);
    return readFile(file('certified.json'), 'utf8');
  }
});
