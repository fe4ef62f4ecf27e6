import { describe, expect, test } from '@jest/globals';
import { createCosignStatements } from '../../../../src/adapters/cosign/cosign-statements.js';
import { canonicalJson } from '../../../../src/model/canonical-json.js';
import { formatSignedStatement } from '../../../../src/model/signed-statement.js';
import { parseSigningKey } from '../../../../src/model/signing-key.js';
import { STATEMENT_TYPE, type Statement } from '../../../../src/model/statement.js';
import { makePublicKey } from '../../../support/fake-signature-verifier.js';
import { cleanPrograms, makePrograms } from '../../../support/programs.js';

cleanPrograms();

const statement: Statement = {
  _type: STATEMENT_TYPE,
  subject: [],
  predicateType: 'https://example.com/x/v1',
  predicate: {},
};
const question = {
  signed: formatSignedStatement(canonicalJson(statement), 'c2ln', {}),
  predicateType: statement.predicateType,
  signer: { publicKey: makePublicKey() },
  trustedRoot: null,
  transparencyLog: 'none' as const,
};

/** A cosign of some version that does the script for everything else; `$bundle` is the file that it is to write. */
async function makeCosign(script: string, version = 'v2.5.0', env: Record<string, string> = {}) {
  const path = await makePrograms({
    cosign: `case $1 in
      version) printf '%s' '${JSON.stringify({ gitVersion: version })}';;
      *) previous=; for word in "$@"; do
           if [ "$previous" = --bundle ]; then bundle=$word; fi; previous=$word
         done
         ${script};;
    esac`,
  });
  return createCosignStatements({ env: { ...env, PATH: path }, home: '/nonexistent', timeoutMs: 10_000 });
}

describe.each(['v2.5.0', 'v3.1.1'])('a cosign %s that is not one', (version) => {
  test.each([
    ['writes nothing', 'true'],
    ['writes no bundle', 'echo {} > "$bundle"'],
    [
      'signs something else',
      `echo '${JSON.stringify({
        verificationMaterial: {},
        messageSignature: { messageDigest: { digest: 'eA==' }, signature: 'c2ln' },
      })}' > "$bundle"`,
    ],
  ])('%s', async (_what, script) => {
    const cosign = await makeCosign(script, version);
    await expect(cosign.signStatement(statement, parseSigningKey('k.key'))).rejects.toMatchObject({
      code: 'COSIGN_INVALID_ANSWER',
    });
  });

  test('exits 0 and says nothing', async () => {
    const cosign = await makeCosign('true', version);
    await expect(cosign.verifyStatement(question)).rejects.toMatchObject({ code: 'COSIGN_INVALID_ANSWER' });
    const honest = await makeCosign('echo Verified OK >&2', version);
    await expect(honest.verifyStatement(question)).resolves.toEqual(statement);
  });

  test('gets no more than it needs: fixed arguments, and nothing of the environment', async () => {
    const cosign = await makeCosign('env >&2; echo "$@" >&2; exit 1', version);
    await expect(cosign.verifyStatement(question)).rejects.toMatchObject({
      code: 'STATEMENT_UNVERIFIED',
      cause: expect.stringContaining('--check-claims=false --insecure-ignore-tlog=true'),
    });
  });
});

describe('without a key', () => {
  const env = { SIGSTORE_ID_TOKEN: 'token' };
  const keyless = parseSigningKey(undefined);

  test('cosign 3 attests the statement as it is, with the token and no password', async () => {
    const statementOf = `previous=; for word in "$@"; do
      [ "$previous" = --statement ] && cp "$word" "$bundle.statement"; previous=$word; done`;
    const signed = formatSignedStatement('PAYLOAD', 'c2ln', { certificate: {} });
    const [before, after] = signed.split(Buffer.from('PAYLOAD').toString('base64'));
    const path = '/bin:/usr/bin';
    const cosign = await makeCosign(
      `PATH=${path}; [ "$SIGSTORE_ID_TOKEN" = token ] && [ -z "\${COSIGN_PASSWORD+set}" ] || exit 1
       ${statementOf}; printf '%s%s%s' '${before}' "$(base64 -w0 "$bundle.statement")" '${after}' > "$bundle"`,
      'v3.1.1',
      env,
    );
    const written = await cosign.signStatement(statement, keyless);
    expect(JSON.parse(written)).toMatchObject({ verificationMaterial: { certificate: {} } });
    const lying = await makeCosign(
      `echo '${formatSignedStatement(canonicalJson({ ...statement, predicateType: 'x' }), 'c2ln', {})}' > "$bundle"`,
      'v3.1.1',
      env,
    );
    await expect(lying.signStatement(statement, keyless)).rejects.toMatchObject({
      code: 'COSIGN_INVALID_ANSWER',
    });
  });

  test('cosign 2 cannot', async () => {
    const cosign = await makeCosign('true', 'v2.5.0', env);
    await expect(cosign.signStatement(statement, keyless)).rejects.toMatchObject({
      code: 'COSIGN_UNSUPPORTED',
    });
  });
});
