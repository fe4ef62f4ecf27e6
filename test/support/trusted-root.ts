import { createPublicKey, X509Certificate } from 'node:crypto';
import { sha256 } from '../../src/model/digest.js';

/** When an authority or log counts; always when absent. */
export interface Validity {
  readonly start?: string;
  readonly end?: string;
}

/** The text of a Sigstore trusted root, as `cosign trusted-root create` writes it. Chains and keys are PEM. */
export function makeTrustedRoot(parts: {
  /** Of each authority its chain, the root last. */
  readonly authorities?: readonly (readonly string[])[];
  readonly logs?: readonly string[];
  readonly certificateLogs?: readonly string[];
  readonly validFor?: Validity;
}): string {
  const validFor = { start: '2020-01-01T00:00:00Z', ...parts.validFor };
  const toLog = (pem: string) => {
    const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    return {
      baseUrl: 'https://log.example.com',
      hashAlgorithm: 'SHA2_256',
      publicKey: { rawBytes: der.toString('base64'), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
      logId: { keyId: Buffer.from(sha256(der).replace('sha256:', ''), 'hex').toString('base64') },
    };
  };
  return JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: (parts.logs ?? []).map(toLog),
    ctlogs: (parts.certificateLogs ?? []).map(toLog),
    certificateAuthorities: (parts.authorities ?? []).map((chain) => ({
      subject: { organization: 'sjs tests', commonName: 'authority' },
      uri: 'https://authority.example.com',
      certChain: {
        certificates: chain.map((pem) => ({ rawBytes: new X509Certificate(pem).raw.toString('base64') })),
      },
      validFor,
    })),
  });
}
