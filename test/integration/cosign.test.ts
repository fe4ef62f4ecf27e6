import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createCosignVerifier, verifyArguments } from '../../src/adapters/cosign/cosign-verifier.js';
import { createRegistry } from '../../src/adapters/registry/registry-client.js';
import { importBase } from '../../src/flows/import-base.js';
import type { AttestationType } from '../../src/model/attestation-type.js';
import type { Digest } from '../../src/model/digest.js';
import type { BaseRule } from '../../src/model/policy.js';
import type { Registry } from '../../src/ports/registry.js';
import { silentReporter } from '../../src/ports/reporter.js';
import type { SignatureVerifier } from '../../src/ports/signature-verifier.js';
import { systemClock, type Clock } from '../../src/ports/clock.js';
import { resolveBase } from '../../src/stages/resolve/resolve-base.js';
import { verifyBase } from '../../src/stages/verify/verify-base.js';
import { parseSigningKey } from '../../src/model/signing-key.js';
import { describeCosigns, runCosign } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { cleanPrograms, makePrograms } from '../support/programs.js';
import { findFreePort, startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { makeTinyImage, pushImage, pushTinyImage, putManifest } from '../support/tiny-image.js';
import { startServer, stopServers } from '../support/tiny-server.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

jest.setTimeout(60_000);
stopServers();
cleanPrograms();

describeCosigns('bases in a registry', (generation) => {
  let running: RunningRegistry;
  let made: Awaited<ReturnType<typeof makeCosignKeys>>;
  let registry: Registry;
  let cosign: SignatureVerifier;
  let ours: CosignKey;
  let theirs: CosignKey;
  beforeAll(async () => {
    [running, made] = await Promise.all([startRegistry(), makeCosignKeys(2, generation)]);
    [ours, theirs] = made.keys as [CosignKey, CosignKey];
    registry = createRegistry({ env: {}, home: made.folder });
    cosign = createCosignVerifier({ env: { PATH: generation.path }, home: made.folder });
  });
  afterAll(async () => {
    await Promise.all([running?.stop(), made?.remove()]);
  });
  const makeRule = (): BaseRule => ({
    repository: `${running.host}/**`,
    mirrors: [],
    keys: [{ publicKey: ours.publicKey, notBefore: null, notAfter: null }],
    keyless: null,
    trustedRoot: null,
    annotations: {},
    attestations: [],
    transparencyLog: 'none',
    allowSetuidFiles: false,
    location: { file: 'policy.yaml', line: 1 },
  });

  /** Pushes an image as version 0.0.0 of `src/…` and imports it, signed, as the version. */
  async function importSigned(path: string, version: string, content: string, keyFile = ours.keyFile) {
    await pushTinyImage(running.host, `src/${path}`, '0.0.0', { files: { content } });
    return importBase(
      {
        source: `${running.host}/src/${path}:0.0.0`,
        target: `${running.host}/${path}:${version}`,
        key: parseSigningKey(keyFile),
      },
      { registry, verifier: cosign, reporter: silentReporter },
    );
  }

  async function check(
    path: string,
    version = '>=1',
    verifier = cosign,
    rule = makeRule(),
    clock: Clock = systemClock,
  ) {
    const image = `${running.host}/${path}`;
    const base = await resolveBase({ image, version }, PLATFORM, registry, null, { update: false });
    return verifyBase(base, { repository: image, alternatives: [[rule]] }, verifier, clock);
  }

  /** Copies what signs one digest to another, in both places where cosign looks. */
  async function moveSignature(path: string, from: string, to: string): Promise<void> {
    const accept = ['manifest', 'index']
      .map((kind) => `application/vnd.oci.image.${kind}.v1+json`)
      .join(', ');
    for (const suffix of ['.sig', '']) {
      const url = `http://${running.host}/v2/${path}/manifests/${from.replace(':', '-')}${suffix}`;
      const response = await fetch(url, { headers: { accept } });
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status !== 200) continue;
      const type = response.headers.get('content-type') ?? '';
      await putManifest(running.host, path, `${to.replace(':', '-')}${suffix}`, type, bytes);
    }
  }

  describe('bases', () => {
    test('imported and signed verifies, with its version', async () => {
      const imported = await importSigned('ok/node', '1.2.0', 'ok');
      expect(imported.publicKey?.trim()).toBe(ours.publicKey.trim());
      await expect(check('ok/node')).resolves.toMatchObject({
        version: '1.2.0',
        signedVersion: '1.2.0',
        digest: imported.digest,
        signature: { annotations: { version: '1.2.0', repository: `${running.host}/ok/node` } },
      });
    });

    test('with what the policy wants attested: by the same signer, of that type, for that digest', async () => {
      const { digest } = await importSigned('attested/node', '1.0.0', 'attested');
      const [registryHost, other] = [running.host, await importSigned('attested/node', '0.9.0', 'other')];
      const asking = { ...makeRule(), attestations: ['slsaprovenance1', 'cyclonedx'] as const };
      const attest = (of: Digest, keyFile: string, type: AttestationType): Promise<void> =>
        cosign.attest(
          { registry: registryHost, path: 'attested/node', digest: of },
          parseSigningKey(keyFile),
          type,
          type === 'cyclonedx'
            ? { bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 }
            : { buildDefinition: {}, runDetails: {} },
        );
      const refused = { code: 'ATTESTATION_MISSING' };
      await expect(check('attested/node', '1.0.0', cosign, asking)).rejects.toMatchObject(refused);
      await attest(digest, ours.keyFile, 'slsaprovenance1');
      // The second one by a stranger, and for another image.
      await attest(digest, theirs.keyFile, 'cyclonedx');
      await attest(other.digest, ours.keyFile, 'cyclonedx');
      await expect(check('attested/node', '1.0.0', cosign, asking)).rejects.toMatchObject({
        code: expect.stringMatching(/^(ATTESTATION_MISSING|BASE_KEY_MISMATCH)$/),
      });
      // The control removed: a rule that asks for nothing takes it.
      await expect(check('attested/node', '1.0.0')).resolves.toMatchObject({ digest });
      await attest(digest, ours.keyFile, 'cyclonedx');
      await expect(check('attested/node', '1.0.0', cosign, asking)).resolves.toMatchObject({ digest });
    });

    test('by keys that take turns, each within its dates', async () => {
      await importSigned('turns/node', '1.0.0', 'by the old key');
      await importSigned('turns/node', '2.0.0', 'by the new key', theirs.keyFile);
      const turns: BaseRule = {
        ...makeRule(),
        keys: [
          { publicKey: ours.publicKey, notBefore: null, notAfter: '2026-06-30T23:59:59Z' },
          { publicKey: theirs.publicKey, notBefore: '2026-06-01T00:00:00Z', notAfter: null },
        ],
      };
      const on = (day: string, version: string, rule = turns) =>
        check('turns/node', version, cosign, rule, { now: () => Date.parse(day), monotonic: () => 0 });
      await expect(on('2026-05-31', '1.0.0')).resolves.toBeDefined();
      await expect(on('2026-05-31', '2.0.0')).rejects.toMatchObject({ code: 'BASE_KEY_MISMATCH' });
      await expect(on('2026-06-15', '1.0.0')).resolves.toBeDefined();
      await expect(on('2026-06-15', '2.0.0')).resolves.toBeDefined();
      await expect(on('2026-07-01', '1.0.0')).rejects.toMatchObject({ code: 'BASE_KEY_MISMATCH' });
      await expect(on('2026-07-01', '2.0.0')).resolves.toBeDefined();
      const old = { ...turns, keys: turns.keys.slice(0, 1) };
      await expect(on('2026-07-01', '1.0.0', old)).rejects.toMatchObject({ code: 'BASE_KEY_OUT_OF_DATE' });
    });

    test('unsigned', async () => {
      await pushTinyImage(running.host, 'unsigned/node', '1.0.0');
      await expect(check('unsigned/node')).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    });

    test('signed by another key', async () => {
      await importSigned('theirs/node', '1.0.0', 'theirs', theirs.keyFile);
      await expect(check('theirs/node')).rejects.toMatchObject({ code: 'BASE_KEY_MISMATCH' });
    });

    test('with the signature of another image', async () => {
      const signed = await importSigned('moved/node', '1.0.0', 'signed');
      const other = await pushTinyImage(running.host, 'moved/node', '1.1.0', { files: { evil: '' } });
      await moveSignature('moved/node', signed.digest, other);
      await expect(check('moved/node', '1.1.0')).rejects.toMatchObject({ code: 'BASE_DIGEST_MISMATCH' });
      await expect(check('moved/node', '1.0.0')).resolves.toBeDefined();
    });

    test('an old one under a newer version’s tag', async () => {
      const old = await importSigned('old/node', '1.0.0', 'old');
      const { bytes, mediaType } = await registry.getManifest(
        { registry: running.host, path: 'old/node' },
        old.digest,
      );
      await putManifest(running.host, 'old/node', '1.9.0', mediaType, bytes);
      await expect(check('old/node')).rejects.toMatchObject({ code: 'BASE_VERSION_MISMATCH' });
    });

    test('copied with its signature to another repository', async () => {
      const image = await makeTinyImage({ files: { name: 'python' } });
      await pushImage(running.host, 'src/cross', '0.0.0', image);
      const to = (path: string, keyFile: string | null) =>
        importBase(
          {
            source: `${running.host}/src/cross:0.0.0`,
            target: `${running.host}/${path}:1.0.0`,
            key: keyFile === null ? null : parseSigningKey(keyFile),
          },
          { registry, verifier: cosign, reporter: silentReporter },
        );
      await to('cross/python', ours.keyFile);
      await to('cross/node', null);
      // Signing the same digest for python, but where node's signatures lie.
      await cosign.sign(
        { registry: running.host, path: 'cross/node', digest: image.digest },
        parseSigningKey(ours.keyFile),
        {
          version: '1.0.0',
          repository: `${running.host}/cross/python`,
        },
      );
      await expect(check('cross/node')).rejects.toMatchObject({ code: 'BASE_REPOSITORY_MISMATCH' });
    });

    test('whose tag flips between resolving and verifying: the resolved digest is what counts', async () => {
      await importSigned('flip/node', '1.0.0', 'good');
      const image = `${running.host}/flip/node`;
      const base = await resolveBase({ image, version: '1' }, PLATFORM, registry, null, { update: false });
      await pushTinyImage(running.host, 'flip/node', '1.0.0', { files: { evil: '' } });
      const requirement = { repository: image, alternatives: [[makeRule()]] };
      await expect(verifyBase(base, requirement, cosign, systemClock)).resolves.toMatchObject({
        digest: base.digest,
      });
      await expect(check('flip/node')).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    });
  });

  describe('cosign without a registry', () => {
    const ask = async (host: string, timeoutMs?: number) => {
      const digest = (await makeTinyImage()).digest;
      const hasty = createCosignVerifier({
        env: { PATH: generation.path },
        home: made.folder,
        ...(timeoutMs !== undefined && { timeoutMs }),
      });
      const reference = { registry: host, path: 'base/node', digest };
      return hasty.verify({
        reference,
        signer: { publicKey: ours.publicKey },
        trustedRoot: null,
        transparencyLog: 'none',
      });
    };

    test('nobody listens', async () => {
      await expect(ask(`127.0.0.1:${await findFreePort()}`)).rejects.toMatchObject({
        code: 'REGISTRY_UNREACHABLE',
      });
    });

    test('it hangs', async () => {
      const { host } = await startServer(() => undefined);
      await expect(ask(host, 1000)).rejects.toMatchObject({ code: 'COSIGN_TIMEOUT' });
    });

    test.each([
      [500, 'REGISTRY_UNREACHABLE'],
      [403, 'REGISTRY_UNAUTHORIZED'],
    ])(
      'it answers %i',
      async (status, code) => {
        const { host } = await startServer((request, response) =>
          response.writeHead(request.url === '/v2/' ? 200 : status).end(),
        );
        await expect(ask(host)).rejects.toMatchObject({ code });
        // cosign 3 asks again after a 500, for some seconds.
      },
      30_000,
    );
  });

  describe('another program in its place', () => {
    const stand = async (script: string) =>
      createCosignVerifier({
        env: {
          PATH: await makePrograms({
            cosign: `[ "$1" = version ] && exec /usr/bin/printf '{"gitVersion":"v2.5.0"}'\n${script}`,
          }),
        },
        home: made.folder,
        timeoutMs: 1000,
      });

    test.each([
      ['true', 'COSIGN_INVALID_ANSWER'],
      ['/bin/sleep 1000', 'COSIGN_TIMEOUT'],
    ])('%s lets nothing pass that is unsigned', async (script, code) => {
      await pushTinyImage(running.host, 'stand/node', '1.0.0');
      await expect(check('stand/node', '>=1', await stand(script))).rejects.toMatchObject({ code });
    });

    test('none at all', async () => {
      await pushTinyImage(running.host, 'stand/node', '1.0.0');
      const missing = createCosignVerifier({ env: { PATH: await makePrograms() }, home: made.folder });
      await expect(check('stand/node', '>=1', missing)).rejects.toMatchObject({ code: 'COSIGN_MISSING' });
    });
  });

  describe('what the environment says', () => {
    test('moves neither trust nor where signatures are looked for (ATTACKS B09)', async () => {
      await pushTinyImage(running.host, 'env/node', '1.0.0', { files: { env: '' } });
      const digest = await pushTinyImage(running.host, 'evil/node', '1.0.0', { files: { env: '' } });
      await cosign.sign(
        { registry: running.host, path: 'evil/node', digest },
        parseSigningKey(ours.keyFile),
        {
          version: '1.0.0',
          repository: `${running.host}/env/node`,
        },
      );
      const env = { PATH: generation.path, COSIGN_REPOSITORY: `${running.host}/evil/node` };
      const steered = createCosignVerifier({ env, home: made.folder });
      await expect(check('env/node', '>=1', steered)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });

      // The same question with that variable let through: cosign is steered by it.
      const reference = { registry: running.host, path: 'env/node', digest };
      const question = verifyArguments({
        reference,
        signer: { publicKey: ours.publicKey },
        trustedRoot: null,
        transparencyLog: 'none',
      });
      const { COSIGN_REPOSITORY } = env;
      await expect(
        runCosign(generation, question, {
          COSIGN_REPOSITORY,
          HOME: made.folder,
          SJS_COSIGN_PUBLIC_KEY: ours.publicKey,
        }),
      ).resolves.toContain(digest);
    });
  });
});
