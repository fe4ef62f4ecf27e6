import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  attestationArguments,
  createCosignVerifier,
} from '../../../../src/adapters/cosign/cosign-verifier.js';
import { sha256 } from '../../../../src/model/digest.js';
import { parseSigningKey } from '../../../../src/model/signing-key.js';
import { makeAuthority } from '../../../support/certificates.js';
import { makePublicKey } from '../../../support/fake-signature-verifier.js';
import { cleanPrograms, makePrograms } from '../../../support/programs.js';
import { makeTrustedRoot } from '../../../support/trusted-root.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();
cleanPrograms();

const digest = sha256('image');
const reference = { registry: 'registry.example.com', path: 'base/node', digest };
const request = {
  reference,
  signer: { publicKey: makePublicKey() },
  trustedRoot: null,
  transparencyLog: 'none' as const,
};

const payload = (overrides: object = {}): string =>
  JSON.stringify([
    {
      critical: {
        identity: { 'docker-reference': 'registry.example.com/base/node' },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
        ...overrides,
      },
      optional: { version: '1.0.0', Bundle: { not: 'a string' } },
    },
  ]);

/** A cosign of some version whose `verify` is the script. */
async function makeCosign(
  verify: string,
  version = 'v2.5.0',
  env: Record<string, string> = {},
  timeoutMs = 10_000,
) {
  const path = await makePrograms({
    cosign: `case $1 in
      version) printf '%s' '${JSON.stringify({ gitVersion: version })}';;
      *) ${verify};;
    esac`,
  });
  return createCosignVerifier({ env: { ...env, PATH: path }, home: '/nonexistent', timeoutMs });
}

describe('a cosign that is not one', () => {
  test('is not there', async () => {
    const cosign = createCosignVerifier({ env: { PATH: await makePrograms() }, home: '/nonexistent' });
    const missing = {
      code: 'COSIGN_MISSING',
      next: expect.stringContaining('apt-get install cosign'),
    };
    await expect(cosign.verify(request)).rejects.toMatchObject(missing);
    await expect(cosign.version()).rejects.toMatchObject(missing);
    await expect(cosign.publicKey(parseSigningKey('k.key'))).rejects.toMatchObject(missing);
    await expect(cosign.sign(reference, parseSigningKey('k.key'), {})).rejects.toMatchObject(missing);
  });

  test.each([
    ['succeeds and says nothing', 'true'],
    ['succeeds and names nothing', 'echo "[]"'],
    ['says no JSON', 'echo Verified OK'],
    ['says something else', `echo '{"verified":true}'`],
    ['says null', `echo '[null]'`],
    [
      'answers about another image',
      `echo '${payload({ image: { 'docker-manifest-digest': sha256('other') } })}'`,
    ],
    ['answers about no image', `echo '${payload({ image: undefined })}'`],
    ['answers about two images', `echo '[{},${payload().slice(1)}'`],
    [
      'answers deeper than a stack',
      `printf '[%s%s]' "$(/usr/bin/yes '[' | /usr/bin/head -c 100000 | /usr/bin/tr -d '\\n')" "$(/usr/bin/yes ']' | /usr/bin/head -c 100000 | /usr/bin/tr -d '\\n')"`,
    ],
    ['prints without end', 'exec /usr/bin/yes'],
  ])('%s', async (_what, script) => {
    const cosign = await makeCosign(script);
    await expect(cosign.verify(request)).rejects.toMatchObject({ code: 'COSIGN_INVALID_ANSWER' });
  });

  test('never answers', async () => {
    const cosign = await makeCosign('/bin/sleep 1000', 'v2.5.0', {}, 300);
    await expect(cosign.verify(request)).rejects.toMatchObject({ code: 'COSIGN_TIMEOUT' });
  });

  test('exits 0 for everything', async () => {
    const path = await makePrograms({ cosign: 'exit 0' });
    const cosign = createCosignVerifier({ env: { PATH: path }, home: '/nonexistent' });
    await expect(cosign.verify(request)).rejects.toMatchObject({ code: 'COSIGN_INVALID_ANSWER' });
    await expect(cosign.publicKey(parseSigningKey('k.key'))).rejects.toMatchObject({
      code: 'COSIGN_INVALID_ANSWER',
    });
  });
});

describe('versions', () => {
  test.each(['v2.4.9', '2.2.0', 'v1.13.0', 'v4.0.0', 'v2.5.0-rc.1', 'devel'])(
    '%s is not supported',
    async (version) => {
      const cosign = await makeCosign(`echo '${payload()}'`, version);
      await expect(cosign.verify(request)).rejects.toMatchObject({ code: 'COSIGN_UNSUPPORTED' });
      await expect(cosign.version()).rejects.toMatchObject({ code: 'COSIGN_UNSUPPORTED' });
    },
  );

  test.each(['v2.5.0', '2.6.3', 'v3.1.1'])('%s is', async (version) => {
    const cosign = await makeCosign(`echo '${payload()}'`, version);
    await expect(cosign.version()).resolves.toBe(version.replace('v', ''));
    await expect(cosign.verify(request)).resolves.toHaveLength(1);
  });

  test.each([
    ['2.6.0', '  --signing-config=\n  --tlog-upload=true'],
    ['3.0.0', '  cosign sign --tlog-upload=false IMAGE\n  --signing-config='],
  ])('a build without one is at least %s by its flags', async (version, flags) => {
    const cosign = await makeCosign(`echo '${flags}'`, 'devel');
    await expect(cosign.version()).resolves.toBe(version);
  });
});

describe('verify', () => {
  const echo = `printf '%s\\n' "$*" "$(/usr/bin/env | /usr/bin/sort)" >&2; exit 1`;

  test('gives digest, repository and annotations in one form', async () => {
    const cosign = await makeCosign(`echo '${payload()}'`);
    await expect(cosign.verify(request)).resolves.toEqual([
      { digest, dockerReference: 'registry.example.com/base/node', annotations: { version: '1.0.0' } },
    ]);
  });

  test('takes no repository from cosign 3, which only repeats the question there', async () => {
    const cosign = await makeCosign(`echo '${payload({ type: 'https://sigstore.dev/cosign/sign/v1' })}'`);
    await expect(cosign.verify(request)).resolves.toMatchObject([{ dockerReference: null }]);
  });

  test('attestations alone are no signature (ATTACKS B14)', async () => {
    const cosign = await makeCosign(
      `echo '${payload({ type: 'https://cosign.sigstore.dev/attestation/v1' })}'`,
    );
    await expect(cosign.verify(request)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
  });

  test('has a fixed argument list and a scrubbed environment (ATTACKS B08, B09)', async () => {
    const evil = {
      SIGSTORE_ROOT_FILE: '/evil',
      SIGSTORE_REKOR_PUBLIC_KEY: '/evil',
      TUF_ROOT: '/evil',
      TUF_MIRROR: 'evil',
      COSIGN_REPOSITORY: 'evil.example.com/x',
      COSIGN_EXPERIMENTAL: '1',
      COSIGN_PASSWORD: 'secret',
      LD_PRELOAD: '/evil.so',
    };
    const cosign = await makeCosign(echo, 'v2.5.0', { ...evil, DOCKER_CONFIG: '/docker' });
    const failure = (await cosign.verify(request).catch((error: unknown) => error)) as { cause: string };
    expect(failure.cause).toContain(
      `cosign: verify --key env://SJS_COSIGN_PUBLIC_KEY --output json --insecure-ignore-tlog=true ` +
        `registry.example.com/base/node@${digest} `,
    );
    // The lines of the key are sorted in among the others, and hold any letters.
    const others = request.signer.publicKey
      .trim()
      .split('\n')
      .reduce((text, line) => text.replace(` ${line}`, ''), failure.cause);
    expect(others).toContain('DOCKER_CONFIG=/docker GOGC=off GOMEMLIMIT=96MiB HOME=/nonexistent');
    expect(others).not.toMatch(/evil|secret|SIGSTORE|TUF|COSIGN_[^P]/);
  });

  test('keeps the transparency log unless the rule says none, and TLS unless the registry is on loopback', async () => {
    const cosign = await makeCosign(echo);
    const ask = async (changes: object): Promise<string> =>
      (
        (await cosign.verify({ ...request, ...changes }).catch((error: unknown) => error)) as {
          cause: string;
        }
      ).cause;
    expect(await ask({ transparencyLog: 'required' })).not.toContain('--insecure');
    expect(await ask({})).not.toContain('--allow-insecure-registry');
    expect(await ask({ reference: { ...reference, registry: '127.0.0.1:5000' } })).toContain(
      '--allow-insecure-registry',
    );
  });

  const keyless = {
    issuer: 'https://issuer.example.com',
    identity: 'https://github.com/acme/images/release.yml@refs/heads/main',
    identityPattern: null,
    caRoots: null,
  };

  test('an identity goes with its issuer, always both, and a pattern in a group (ATTACKS B06, B07)', async () => {
    const cosign = await makeCosign(echo);
    const ask = async (signer: object): Promise<string> =>
      (
        (await cosign
          .verify({ ...request, transparencyLog: 'required', signer: { ...keyless, ...signer } })
          .catch((error: unknown) => error)) as { cause: string }
      ).cause;
    expect(await ask({})).toContain(
      `cosign: verify --certificate-oidc-issuer=https://issuer.example.com ` +
        `--certificate-identity=${keyless.identity} --output json registry.example.com/base/node@${digest} `,
    );
    expect(await ask({ identity: null, identityPattern: '^https://a/b/.*$' })).toContain(
      `--certificate-identity-regexp=^(?:https://a/b/.*)$ --output json registry.example.com`,
    );
  });

  test('own trust reaches cosign 3 whole and cosign 2 in parts, and nothing is left to Sigstore’s', async () => {
    const folder = await makeFolder();
    const root = makeAuthority(folder, 'root');
    const middle = makeAuthority(folder, 'middle', root);
    const trustedRoot = makeTrustedRoot({
      authorities: [[middle.pem, root.pem]],
      logs: [makePublicKey()],
      certificateLogs: [makePublicKey()],
    });
    const ask = async (version: string, changes: object): Promise<string> => {
      const cosign = await makeCosign(echo, version);
      return (
        (await cosign
          .verify({ ...request, transparencyLog: 'required', trustedRoot, ...changes })
          .catch((error: unknown) => error)) as { cause: string }
      ).cause;
    };
    const second = await ask('v2.5.0', { signer: keyless });
    expect(second).toMatch(
      /--output json --ca-roots \S+ --ca-intermediates \S+ --offline=true registry\.example\.com/,
    );
    expect(second).toMatch(/SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=\S+ SIGSTORE_REKOR_PUBLIC_KEY=\S+/);
    const own = { signer: { ...keyless, caRoots: root.pem } };
    expect(await ask('v2.5.0', own)).toMatch(
      /--insecure-ignore-sct=true --output json --ca-roots \S+ --offline=true registry/,
    );
    expect(await ask('v2.5.0', {})).toMatch(/--output json --offline=true registry/);
    for (const changes of [{}, own, { signer: keyless }]) {
      const third = await ask('v3.1.1', changes);
      expect(third).toMatch(/--output json --trusted-root \S+ registry/);
      expect(third).not.toMatch(/--ca-|--offline|SIGSTORE|ignore-tlog/);
    }
    const expired = makeTrustedRoot({
      authorities: [[root.pem]],
      logs: [makePublicKey()],
      certificateLogs: [makePublicKey()],
      validFor: { end: '2021-01-01T00:00:00Z' },
    });
    const cosign = await makeCosign(`echo '${payload()}'`);
    for (const signer of [request.signer, keyless]) {
      await expect(
        cosign.verify({ ...request, signer, transparencyLog: 'required', trustedRoot: expired }),
      ).rejects.toMatchObject({ code: 'POLICY_INVALID' });
    }
  });

  test.each([
    [
      12,
      'Error: no matching signatures: none of the expected identities matched what was in the certificate, got subjects [https://rekor.tuf] with issuer x',
    ],
    [
      12,
      'Error: no matching signatures: cert verification failed: x509: certificate signed by unknown authority. Check your TUF root',
    ],
    [12, 'Error: no matching signatures: leaf certificate verification failed'],
    [12, 'Error: no matching signatures: no certificate found on signature'],
    [
      1,
      'Error: no matching attestations: failed to verify certificate identity: no matching CertificateIdentity found, last error: expected SAN value "a", got "b"',
    ],
    [
      1,
      'Error: no matching attestations: failed to verify leaf certificate: leaf certificate verification failed',
    ],
    [1, 'Error: no matching attestations: signature time outside of public key validity window'],
  ])('exit %i, %s: signed by another than the identity', async (status, words) => {
    const cosign = await makeCosign(`printf '%s\\n' '${words}' >&2; exit ${status}`);
    await expect(cosign.verify({ ...request, signer: keyless })).rejects.toMatchObject({
      code: 'BASE_IDENTITY_MISMATCH',
    });
  });

  // Words and codes as cosign 2.5.0 and 3.1.1 print them.
  test.each([
    [10, 'Error: no signatures found', 'BASE_UNVERIFIED'],
    [11, 'Error: image tag not found', 'BASE_NOT_FOUND'],
    [
      12,
      'Error: no matching signatures: invalid signature when validating ASN.1 encoded signature',
      'BASE_KEY_MISMATCH',
    ],
    [
      12,
      'Error: no matching signatures: invalid or missing digest in claim: sha256:00',
      'BASE_DIGEST_MISMATCH',
    ],
    [12, 'Error: no matching signatures: signature not found in transparency log', 'BASE_UNVERIFIED'],
    [12, 'Error: no matching signatures: offline verification failed', 'BASE_UNVERIFIED'],
    [
      12,
      'Error: no matching signatures: error verifying bundle: signature in bundle does not match signature being verified',
      'BASE_UNVERIFIED',
    ],
    [13, 'Error: no certificate found on signature', 'BASE_UNVERIFIED'],
    [
      1,
      'Error: no matching attestations: failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1',
      'BASE_KEY_MISMATCH',
    ],
    [
      1,
      'Error: no matching attestations: failed to verify signature: provided artifact digest does not match any digest in statement',
      'BASE_DIGEST_MISMATCH',
    ],
    [
      1,
      'Error: getting Rekor public keys: updating local metadata and targets: error updating to TUF remote mirror: tuf: failed to download 13.root.json: dial tcp: lookup tuf.example.com: no such host',
      'BASE_UNVERIFIED',
    ],
    [
      1,
      'Error: setting trusted material: getting trusted root from TUF for new bundle verification: dial tcp: no such host',
      'BASE_UNVERIFIED',
    ],
    [
      1,
      'Error: Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
      'REGISTRY_UNREACHABLE',
    ],
    [
      1,
      'Error: GET http://127.0.0.1:1/v2/: unexpected status code 500 Internal Server Error',
      'REGISTRY_UNREACHABLE',
    ],
    [
      1,
      'Error: GET http://127.0.0.1:1/v2/a/b/manifests/x.sig: unexpected status code 401 Unauthorized',
      'REGISTRY_UNAUTHORIZED',
    ],
    [
      1,
      'Error: GET http://127.0.0.1:1/v2/a/b/manifests/x.sig: unexpected status code 403 Forbidden',
      'REGISTRY_UNAUTHORIZED',
    ],
    [1, 'Error: no matching attestations: expected key signature, not certificate', 'BASE_KEY_MISMATCH'],
    [
      12,
      'Error: no matching signatures: certificate does not include required embedded SCT',
      'BASE_UNVERIFIED',
    ],
    [1, 'Error: something new', 'BASE_UNVERIFIED'],
    [2, '', 'BASE_UNVERIFIED'],
    [139, '', 'BASE_UNVERIFIED'],
  ])('exit %i, %s: %s', async (status, words, code) => {
    const cosign = await makeCosign(
      `echo '${payload()}'; printf '%s\\nmain.go: %s\\n' '${words}' 'exit' >&2; exit ${status}`,
    );
    await expect(cosign.verify(request)).rejects.toMatchObject({
      code,
      message: expect.any(String),
    });
  });

  test('words of cosign reach no terminal as they are', async () => {
    const cosign = await makeCosign(`printf 'Error: \\033[2Jboom\\n' >&2; exit 1`);
    await expect(cosign.verify(request)).rejects.toMatchObject({ cause: 'cosign: \\x1b[2Jboom' });
  });

  test('however much is asked at once, and of how many, eight run', async () => {
    const folder = await makeFolder({ 'running/none': '', counts: '' });
    const make = () =>
      makeCosign(
        `: > '${folder}/running/'$$; set -- '${folder}/running/'*; echo $# >> '${folder}/counts'
       /bin/sleep 0.2; /bin/rm '${folder}/running/'$$; echo '${payload()}'`,
      );
    const two = [await make(), await make()];
    await Promise.all(two.flatMap((cosign) => Array.from({ length: 15 }, () => cosign.verify(request))));
    const counts = (await readFile(join(folder, 'counts'), 'utf8')).trim().split('\n').map(Number);
    expect(counts).toHaveLength(30);
    expect(Math.max(...counts)).toBeLessThanOrEqual(9);
    expect(Math.max(...counts)).toBeGreaterThan(2);
  });

  test('can be interrupted', async () => {
    const cosign = await makeCosign('/bin/sleep 1000');
    const controller = new AbortController();
    const running = cosign.verify(request, controller.signal);
    setImmediate(() => controller.abort());
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('sign and publicKey', () => {
  const echo = `printf 'Error: %s %s' "$COSIGN_PASSWORD" "$*" >&2; exit 1`;

  test('cosign 2 is told not to use the log, cosign 3 gets a signing config', async () => {
    for (const [version, flags] of [
      ['v2.5.0', '-a version=1.0.0 --tlog-upload=false'],
      ['v3.1.1', '-a version=1.0.0 --signing-config '],
    ] as const) {
      const cosign = await makeCosign(echo, version, { COSIGN_PASSWORD: 'open' });
      await expect(
        cosign.sign(reference, parseSigningKey('/keys/a.key'), { version: '1.0.0' }),
      ).rejects.toMatchObject({
        code: 'COSIGN_FAILED',
        cause: expect.stringContaining(`cosign: open sign --key /keys/a.key --yes ${flags}`),
      });
    }
  });

  const AWS = { AWS_REGION: 'eu-1', AWS_SECRET_ACCESS_KEY: 's' };
  const SECRETS = { ...AWS, VAULT_TOKEN: 't', SIGSTORE_ID_TOKEN: 'i', COSIGN_PASSWORD: 'p' };

  test.each([
    ['a.key', ['COSIGN_PASSWORD']],
    ['awskms:///alias/a', Object.keys(AWS)],
    ['hashivault://a', ['VAULT_TOKEN']],
    ['pkcs11:token=a', []],
    [undefined, ['SIGSTORE_ID_TOKEN']],
  ])(
    'with the key %s cosign gets what that needs of the environment, and nothing else',
    async (key, names) => {
      const look = Object.keys(SECRETS).map((name) => `[ -z "$${name}" ] || printf '%s ' ${name} >&2`);
      const show = `${look.join('; ')}; exit 1`;
      const cosign = await makeCosign(show, 'v2.5.0', SECRETS);
      const refused = await cosign.sign(reference, parseSigningKey(key), {}).catch((error: Error) => error);
      expect(
        String((refused as Error).cause)
          .replace('cosign: ', '')
          .trim()
          .split(' ')
          .filter(Boolean),
      ).toEqual(names);
      const verified = await cosign.verify(request).catch((error: Error) => error);
      expect((verified as Error).cause).toBe('cosign: ');
    },
  );

  test('keyless signing asks Sigstore, and is refused where nothing says who signs', async () => {
    const cosign = await makeCosign(echo, 'v3.1.1', { SIGSTORE_ID_TOKEN: 'token' });
    await expect(cosign.sign(reference, { kind: 'keyless' }, {})).rejects.toMatchObject({
      cause: expect.stringMatching(/^cosign: +sign --yes registry\.example\.com/),
    });
    const nobody = await makeCosign(echo);
    await expect(nobody.sign(reference, { kind: 'keyless' }, {})).rejects.toMatchObject({
      code: 'USAGE',
      next: expect.stringContaining('SIGSTORE_ID_TOKEN'),
    });
    // Before anything is pushed.
    await expect(nobody.publicKey({ kind: 'keyless' })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(cosign.publicKey({ kind: 'keyless' })).resolves.toBeNull();
  });

  test('says what to do about the password and the path', async () => {
    const locked = await makeCosign(
      `echo 'Error: reading key: decrypt: encrypted: decryption failed' >&2; exit 1`,
    );
    await expect(locked.publicKey(parseSigningKey('a.key'))).rejects.toMatchObject({
      next: expect.stringContaining('COSIGN_PASSWORD'),
    });
    const absent = await makeCosign(`echo 'Error: open a.key: no such file or directory' >&2; exit 1`);
    await expect(absent.publicKey(parseSigningKey('a.key'))).rejects.toMatchObject({
      next: expect.stringContaining('generate-key-pair'),
    });
    const silent = await makeCosign('true');
    await expect(silent.publicKey(parseSigningKey('a.key'))).rejects.toMatchObject({ code: 'COSIGN_FAILED' });
  });
});

test.each(['"text"', '["a"]', '7'])('annotations that are %s are none', async (optional) => {
  const cosign = await makeCosign(
    `echo '${JSON.stringify([{ ...(JSON.parse(payload()) as object[])[0], optional: JSON.parse(optional) as unknown }])}'`,
  );
  await expect(cosign.verify(request)).resolves.toEqual([expect.objectContaining({ annotations: {} })]);
});

describe('attestations', () => {
  const statement = (overrides: object = {}): object => ({
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: 'https://cyclonedx.org/bom',
    subject: [{ name: 'x', digest: { sha256: digest.slice(7) } }],
    predicate: { a: 1 },
    ...overrides,
  });
  const envelope = (content: unknown, overrides: object = {}): string =>
    JSON.stringify({
      payloadType: 'application/vnd.in-toto+json',
      payload: Buffer.from(JSON.stringify(content)).toString('base64'),
      signatures: [],
      ...overrides,
    });
  const other = { subject: [{ digest: { sha256: sha256('other').slice(7) } }] };

  test('what verified is handed over, each', async () => {
    const two = [envelope(statement()), envelope(statement({ predicate: { b: 2 } }))];
    const cosign = await makeCosign(`printf '%s\\n' '${two.join("' '")}'`);
    const found = await cosign.verifyAttestation(request, 'cyclonedx');
    expect(found.map(({ predicate }) => predicate)).toEqual([{ a: 1 }, { b: 2 }]);
  });

  test('a bill of the largest source is read, and what is endless is not', async () => {
    const files = Array.from({ length: 50_000 }, (_, at) => ({ name: `file ${at} ${'x'.repeat(500)}` }));
    const path = join(await makeFolder(), 'answer');
    await writeFile(path, `${envelope(statement({ predicate: { files } }))}\n`);
    const whole = await makeCosign(`/bin/cat '${path}'`);
    const [found] = await whole.verifyAttestation(request, 'cyclonedx');
    expect(found?.predicate).toEqual({ files });
    await expect(
      (await makeCosign('/usr/bin/yes')).verifyAttestation(request, 'cyclonedx'),
    ).rejects.toMatchObject({
      code: 'COSIGN_INVALID_ANSWER',
      message: 'cosign prints without end',
      cause: 'more than 64 MiB',
    });
  }, 60_000);

  test.each([
    ['nothing', ''],
    ['no JSON', 'Verified OK'],
    ['a list', '[]'],
    ['no envelope', JSON.stringify(statement())],
    ['another payload', envelope(statement(), { payloadType: 'text/plain' })],
    ['no statement', envelope({ predicateType: 'https://cyclonedx.org/bom' })],
    ['another type', envelope(statement({ predicateType: 'https://spdx.dev/Document' }))],
    ['another image', envelope(statement(other))],
    [
      'another image too',
      envelope(statement({ subject: [...other.subject, { digest: { sha256: digest.slice(7) } }] })),
    ],
    ['no subject', envelope(statement({ subject: [] }))],
    ['no predicate', envelope(statement({ predicate: 'text' }))],
    ['one good, one bad', `${envelope(statement())}\n${envelope(statement(other))}`],
  ])('a cosign that accepts and shows %s is not believed', async (_what, stdout) => {
    const cosign = await makeCosign(`printf '%s' '${stdout}'`);
    await expect(cosign.verifyAttestation(request, 'cyclonedx')).rejects.toMatchObject({
      code: 'COSIGN_INVALID_ANSWER',
    });
  });

  test('the arguments are fixed', () => {
    expect(attestationArguments(request, 'slsaprovenance1')).toEqual([
      ...['verify-attestation', '--key', 'env://SJS_COSIGN_PUBLIC_KEY'],
      ...['--type', 'https://slsa.dev/provenance/v1', '--output', 'json', '--insecure-ignore-tlog=true'],
      `registry.example.com/base/node@${digest}`,
    ]);
  });

  test.each([
    ['no matching attestations: ', /finds$/],
    ['none of the attestations matched the predicate type: x, found: y', /finds$/],
    [
      'no matching attestations: accepted signatures do not match threshold, Found: 0, Expected 1',
      /trusted signer$/,
    ],
  ])('cosign says %s', async (words, message) => {
    const cosign = await makeCosign(`echo 'Error: ${words}' >&2; exit 1`);
    await expect(cosign.verifyAttestation(request, 'cyclonedx')).rejects.toMatchObject({
      code: 'ATTESTATION_MISSING',
      message: expect.stringMatching(message),
    });
  });

  test('a registry that does not answer is no missing attestation', async () => {
    const cosign = await makeCosign(`echo 'Error: dial tcp: connection refused' >&2; exit 1`);
    await expect(cosign.verifyAttestation(request, 'cyclonedx')).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
  });
});
