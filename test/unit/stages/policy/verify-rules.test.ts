import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { SjsError } from '../../../../src/errors.js';
import { explainPolicy } from '../../../../src/stages/policy/explain-policy.js';
import { parsePolicy } from '../../../../src/stages/policy/parse-policy.js';
import { makeAuthority, makeCertificate } from '../../../support/certificates.js';
import { makePublicKey } from '../../../support/fake-signature-verifier.js';
import { makeTrustedRoot } from '../../../support/trusted-root.js';

const folder = mkdtempSync(join(tmpdir(), 'sjs-rules-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const authority = makeAuthority(folder, 'own');
const key = makePublicKey();
const leaf = makeCertificate(folder, 'leaf', authority, key, { subject: 'URI:https://a.example/b' });
const IDENTITY = 'https://github.com/acme/images/release.yml@refs/heads/main';
const SIGNER = { issuer: 'https://issuer.example.com', identity: IDENTITY };
const KEYS = { keys: [{ publicKey: key }] };
const root = (parts: Parameters<typeof makeTrustedRoot>[0]): string => makeTrustedRoot(parts);
const logs = { logs: [key] };

const parse = (verify: object) =>
  parsePolicy(
    Buffer.from(
      JSON.stringify({
        apiVersion: 'sjs/v1',
        kind: 'Policy',
        bases: [{ repository: 'r.example/x', verify }],
      }),
    ),
    '/policy.yaml',
    'operator',
  );

describe('who must sign', () => {
  test.each([
    ['keys, in the log', KEYS],
    ['keys, in no log', { ...KEYS, transparencyLog: 'none' }],
    ['keys, in a log of one’s own', { ...KEYS, trustedRoot: root(logs) }],
    ['an identity of public Sigstore', { keyless: SIGNER }],
    [
      'an expression',
      { keyless: { issuer: SIGNER.issuer, identityPattern: '^https://github\\.com/acme/.*$' } },
    ],
    [
      'an identity by one’s own authorities',
      { keyless: { ...SIGNER, caRoots: authority.pem }, transparencyLog: 'none' },
    ],
    [
      'an identity by one’s own authorities, in one’s own log',
      { keyless: { ...SIGNER, caRoots: authority.pem }, trustedRoot: root(logs) },
    ],
    [
      'an identity of one’s own Sigstore',
      {
        keyless: SIGNER,
        trustedRoot: root({ ...logs, authorities: [[authority.pem]], certificateLogs: [key] }),
      },
    ],
  ])('%s', async (_what, verify) => {
    const layer = await parse(verify);
    expect(layer.bases).toHaveLength(1);
  });

  test('is read as it is written', async () => {
    const trustedRoot = root(logs);
    const [rule] = (await parse({ keyless: { ...SIGNER, caRoots: authority.pem }, trustedRoot })).bases ?? [];
    expect(rule).toMatchObject({
      keys: [],
      keyless: { ...SIGNER, identityPattern: null, caRoots: authority.pem },
      trustedRoot,
      transparencyLog: 'required',
    });
  });

  test.each<[string, object, RegExp]>([
    ['nobody', {}, /names nobody/],
    ['keys and an identity in one rule', { ...KEYS, keyless: SIGNER }, /exclude each other/],
    ['no issuer (B06)', { keyless: { identity: IDENTITY } }, /issuer is missing/],
    ['an empty issuer (B06)', { keyless: { ...SIGNER, issuer: '' } }, /issuer/],
    ['an issuer without TLS', { keyless: { ...SIGNER, issuer: 'http://issuer.example.com' } }, /issuer/],
    ['no identity', { keyless: { issuer: SIGNER.issuer } }, /names no identity/],
    ['an empty identity', { keyless: { ...SIGNER, identity: '' } }, /identity/],
    [
      'an identity and an expression',
      { keyless: { ...SIGNER, identityPattern: '^https://a\\.b/c/.*$' } },
      /exclude each other/,
    ],
    [
      'an expression without anchors (B07)',
      { keyless: { issuer: SIGNER.issuer, identityPattern: 'https://github.com/acme/images' } },
      /identityPattern/,
    ],
    [
      'an expression for any owner (B07)',
      { keyless: { issuer: SIGNER.issuer, identityPattern: '^https://github\\.com/.*$' } },
      /literal up to the owner/,
    ],
    ['no log and public Sigstore', { keyless: SIGNER, transparencyLog: 'none' }, /only the log shows/],
    [
      'own authorities and a log of nobody',
      { keyless: { ...SIGNER, caRoots: authority.pem } },
      /must be your own too/,
    ],
    [
      'authorities that are none',
      {
        keyless: { ...SIGNER, caRoots: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
        transparencyLog: 'none',
      },
      /caRoots/,
    ],
    [
      'a trusted root where no log counts',
      { ...KEYS, trustedRoot: root(logs), transparencyLog: 'none' },
      /has no use/,
    ],
    ['a trusted root that is none', { ...KEYS, trustedRoot: '{"tlogs": 1}' }, /is no trusted root/],
    ['a trusted root that is no JSON', { ...KEYS, trustedRoot: '{' }, /is no trusted root/],
    ['a trusted root without a log', { ...KEYS, trustedRoot: root({}) }, /no transparency log/],
    [
      'a trusted root without authorities',
      { keyless: SIGNER, trustedRoot: root(logs) },
      /no certificate authority/,
    ],
    [
      'a trusted root without a log of certificates',
      { keyless: SIGNER, trustedRoot: root({ ...logs, authorities: [[authority.pem]] }) },
      /no log of certificates/,
    ],
  ])('%s is refused', async (_what, verify, words) => {
    const error = (await parse(verify).catch((caught: unknown) => caught)) as SjsError;
    expect(error).toMatchObject({ code: 'POLICY_INVALID', message: expect.stringMatching(words) });
  });

  test('a rule is judged to the end whatever its file is called and however it is written', async () => {
    const text = JSON.stringify({
      apiVersion: 'sjs/v1',
      kind: 'Policy',
      bases: [{ repository: 'r.example/x', verify: { keyless: { issuer: SIGNER.issuer } } }],
    });
    await expect(parsePolicy(Buffer.from(text), '/p.json', 'operator')).rejects.toMatchObject({
      code: 'POLICY_INVALID',
    });
  });

  test('a certificate that is no authority’s is refused', async () => {
    const caRoots = readFileSync(leaf, 'utf8');
    await expect(parse({ keyless: { ...SIGNER, caRoots }, transparencyLog: 'none' })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining('no certificate authority'),
    });
  });

  test('is explained', async () => {
    const layer = await parse({ keyless: { ...SIGNER, caRoots: authority.pem }, transparencyLog: 'none' });
    const { values } = explainPolicy({ layers: [layer], digest: 'sha256:00' }, Date.now());
    expect(values.find((one) => one.key === 'bases')?.value).toBe(
      `r.example/x; ${IDENTITY} of https://issuer.example.com by own authorities; transparency log none`,
    );
  });
});
