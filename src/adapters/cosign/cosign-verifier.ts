import { PREDICATE_TYPES, type AttestationType } from '../../model/attestation-type.js';
import { isLoopback } from '../../model/loopback.js';
import { anchorIdentityPattern } from '../../model/identity-pattern.js';
import { formatReference, type DigestReference } from '../../model/reference.js';
import { formatSigningKey } from '../../model/signing-key.js';
import type { SignatureVerifier, Signer, VerifyRequest } from '../../ports/signature-verifier.js';
import type { ProgramResult } from '../process/run-program.js';
import { withTemporaryFiles } from '../process/temporary-files.js';
import { explainFailedAttestation, explainFailedCommand, explainFailedVerify } from './cosign-errors.js';
import { createCosignProgram, type CosignOptions } from './cosign-program.js';
import { readPayloads } from './read-payloads.js';
import { readStatements } from './read-statements.js';
import { keyEnvironment, keyFlags, withSigningServices } from './signing-key.js';
import { hasOwnTrust, withTrustMaterial } from './trust-material.js';

/** Signatures by the `cosign` program in PATH, versions 2.5 to 3. Nothing is started before the first call. */
export function createCosignVerifier(options: CosignOptions): SignatureVerifier {
  const { run, version, besidesVersion } = createCosignProgram(options);

  /** Asks one question of a request, under the trust that it names. */
  const ask = async (
    request: VerifyRequest,
    toArguments: (trust: readonly string[]) => readonly string[],
    signal?: AbortSignal,
  ): Promise<ProgramResult> => {
    const { signer } = request;
    const key = 'publicKey' in signer ? { SJS_COSIGN_PUBLIC_KEY: signer.publicKey } : {};
    if (!hasOwnTrust(request)) return besidesVersion((either) => run(toArguments([]), either, key), signal);
    return withTrustMaterial(request, await version(signal), (flags, env) =>
      run(toArguments(flags), signal, { ...key, ...env }),
    );
  };

  return {
    version,
    async verify(request, signal) {
      const result = await ask(request, (trust) => verifyArguments(request, trust), signal);
      if (result.exitCode !== 0) throw explainFailedVerify(result, request);
      return readPayloads(result.stdout, request.reference);
    },
    async verifyAttestation(request, type, signal) {
      const result = await ask(request, (trust) => attestationArguments(request, type, trust), signal);
      if (result.exitCode !== 0) throw explainFailedAttestation(result, request, type);
      return readStatements(result.stdout, request.reference, type);
    },
    async sign(reference, key, annotations, signal) {
      const env = keyEnvironment(key, options.env);
      const annotated = Object.entries(annotations).flatMap(([name, value]) => ['-a', `${name}=${value}`]);
      const target = formatReference(reference);
      const common = [...keyFlags(key), '--yes', ...registryFlags(reference), ...annotated];
      const result = await withSigningServices(key, await version(signal), (flags) =>
        run(['sign', ...common, ...flags, target], signal, env),
      );
      if (result.exitCode !== 0) throw explainFailedCommand(result, `cosign did not sign ${target}`);
    },
    async attest(reference, key, type, predicate, signal) {
      const env = keyEnvironment(key, options.env);
      const target = formatReference(reference);
      const common = [...keyFlags(key), '--yes', ...registryFlags(reference)];
      // By its address: for its own words cosign 2 writes predicates anew, and leaves out what it does not know.
      const typed = ['--type', PREDICATE_TYPES[type]];
      const known = await version(signal);
      const result = await withTemporaryFiles({ 'predicate.json': JSON.stringify(predicate) }, (paths) =>
        withSigningServices(key, known, (flags) =>
          run(
            ['attest', ...common, ...typed, '--predicate', paths['predicate.json'], ...flags, target],
            signal,
            env,
          ),
        ),
      );
      if (result.exitCode !== 0)
        throw explainFailedCommand(result, `cosign did not attest ${type} of ${target}`);
    },
    async publicKey(key, signal) {
      const env = keyEnvironment(key, options.env);
      if (key.kind === 'keyless') return null;
      await version(signal);
      const result = await run(['public-key', ...keyFlags(key)], signal, env);
      if (result.exitCode !== 0 || !/^-----BEGIN PUBLIC KEY-----\n/.test(result.stdout)) {
        throw explainFailedCommand(result, `cosign gives no public key for ${formatSigningKey(key)}`);
      }
      return result.stdout;
    },
  };
}

/**
 * The argument list of `cosign verify`: nothing in it but signer, log, trust, loopback and reference ever differs
 * (ATTACKS B08).
 * @param trust flags that name the request's own authorities and logs
 */
export function verifyArguments(
  { reference, signer, transparencyLog }: VerifyRequest,
  trust: readonly string[] = [],
): readonly string[] {
  return [
    'verify',
    ...signerFlags(signer),
    '--output',
    'json',
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...trust,
    ...registryFlags(reference),
    formatReference(reference),
  ];
}

/** The same of `cosign verify-attestation`, for one type. */
export function attestationArguments(
  { reference, signer, transparencyLog }: VerifyRequest,
  type: AttestationType,
  trust: readonly string[] = [],
): readonly string[] {
  return [
    'verify-attestation',
    ...signerFlags(signer),
    '--type',
    PREDICATE_TYPES[type],
    '--output',
    'json',
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...trust,
    ...registryFlags(reference),
    formatReference(reference),
  ];
}

/** Issuer and identity always go together: cosign takes an absent one for "any" in places (ATTACKS B06). */
export function signerFlags(signer: Signer): readonly string[] {
  if ('publicKey' in signer) return ['--key', 'env://SJS_COSIGN_PUBLIC_KEY'];
  const { issuer, identity, identityPattern, caRoots } = signer;
  return [
    `--certificate-oidc-issuer=${issuer}`,
    identity === null
      ? `--certificate-identity-regexp=${anchorIdentityPattern(identityPattern ?? '^$')}`
      : `--certificate-identity=${identity}`,
    // Authorities of one's own keep no public log of the certificates that they gave out.
    ...(caRoots === null ? [] : ['--insecure-ignore-sct=true']),
  ];
}

function registryFlags({ registry }: DigestReference): readonly string[] {
  return isLoopback(registry) ? ['--allow-insecure-registry'] : [];
}
