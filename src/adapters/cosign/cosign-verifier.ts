import { resolve } from 'node:path';
import { isLoopback } from '../../model/loopback.js';
import { anchorIdentityPattern } from '../../model/identity-pattern.js';
import { formatReference, type DigestReference } from '../../model/reference.js';
import type { SignatureVerifier, Signer, VerifyRequest } from '../../ports/signature-verifier.js';
import { explainFailedCommand, explainFailedVerify } from './cosign-errors.js';
import { createCosignProgram, type CosignOptions } from './cosign-program.js';
import { isThirdGeneration } from './cosign-version.js';
import { readPayloads } from './read-payloads.js';
import { withSigningConfig } from './signing-config.js';
import { hasOwnTrust, withTrustMaterial } from './trust-material.js';

/** Signatures by the `cosign` program in PATH, versions 2.5 to 3. Nothing is started before the first call. */
export function createCosignVerifier(options: CosignOptions): SignatureVerifier {
  const { run, version, besidesVersion, password } = createCosignProgram(options);

  return {
    version,
    async verify(request, signal) {
      const { reference, signer } = request;
      const key = 'publicKey' in signer ? { SJS_COSIGN_PUBLIC_KEY: signer.publicKey } : {};
      const result = hasOwnTrust(request)
        ? await withTrustMaterial(request, await version(signal), (flags, env) =>
            run(verifyArguments(request, flags), signal, { ...key, ...env }),
          )
        : await besidesVersion((either) => run(verifyArguments(request), either, key), signal);
      if (result.exitCode !== 0) throw explainFailedVerify(result, request);
      return readPayloads(result.stdout, reference);
    },
    // An absolute path is a file: cosign also takes URLs, key services and variables under `--key`.
    async sign(reference, keyFile, annotations, signal) {
      const annotated = Object.entries(annotations).flatMap(([name, value]) => ['-a', `${name}=${value}`]);
      const common = ['--key', resolve(keyFile), '--yes', ...registryFlags(reference), ...annotated];
      const target = formatReference(reference);
      const result = isThirdGeneration(await version(signal))
        ? await withSigningConfig((flags) => run(['sign', ...common, ...flags, target], signal, password))
        : await run(['sign', ...common, '--tlog-upload=false', target], signal, password);
      if (result.exitCode !== 0) throw explainFailedCommand(result, `cosign did not sign ${target}`);
    },
    async publicKey(keyFile, signal) {
      await version(signal);
      const result = await run(['public-key', '--key', resolve(keyFile)], signal, password);
      if (result.exitCode !== 0 || !/^-----BEGIN PUBLIC KEY-----\n/.test(result.stdout)) {
        throw explainFailedCommand(result, `cosign gives no public key for ${keyFile}`);
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
