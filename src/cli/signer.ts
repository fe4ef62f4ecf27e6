import { cleanLine } from './terminal.js';

/** Who signed, in words: the key of a fingerprint, or the identity and issuer of a certificate. */
export function describeSigner(signer: string): string {
  return signer.startsWith('sha256:') ? `the key ${signer}` : cleanLine(signer);
}
