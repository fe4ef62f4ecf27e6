import { SjsError } from '../errors.js';
import { cleanText } from './clean-text.js';

/** Services that keep keys, by the beginning of the references that cosign takes for them. */
const KEY_SERVICES = ['awskms', 'gcpkms', 'azurekms', 'hashivault'] as const;

/** With what something is signed. Never the key itself. */
export type SigningKey =
  | { readonly kind: 'file'; readonly path: string }
  /** `awskms://…` and its like: the key never leaves the service. */
  | { readonly kind: 'service'; readonly service: (typeof KEY_SERVICES)[number]; readonly reference: string }
  /** A key in a token of its own, by its RFC 7512 URI. */
  | { readonly kind: 'pkcs11'; readonly reference: string }
  /** A certificate for this one signature, given out for the identity of whoever signs. */
  | { readonly kind: 'keyless' };

/**
 * What `--key` says; without it signing is keyless, as with cosign.
 * @throws SjsError `USAGE` for what looks like a reference and is none of these: cosign would also take URLs, variables
 * and secrets of a cluster for keys.
 */
export function parseSigningKey(text: string | undefined): SigningKey {
  if (text === undefined) return { kind: 'keyless' };
  const service = KEY_SERVICES.find((name) => text.startsWith(`${name}://`));
  const isPlain = /^[!-~]{1,1024}$/.test(text);
  if (service !== undefined && isPlain && text.length > `${service}://`.length) {
    return { kind: 'service', service, reference: text };
  }
  if (text.startsWith('pkcs11:') && isPlain) return { kind: 'pkcs11', reference: text };
  if (text !== '' && !text.includes('://') && !text.startsWith('pkcs11:'))
    return { kind: 'file', path: text };
  throw new SjsError('USAGE', `${cleanText(JSON.stringify(text.slice(0, 200)))} is no key to sign with`, {
    next: `give the file that cosign generate-key-pair made, or a reference: ${KEY_SERVICES.map((name) => `${name}://…`).join(', ')}, pkcs11:…`,
  });
}

/** The key in a message. */
export function formatSigningKey(key: SigningKey): string {
  if (key.kind === 'file') return key.path;
  return key.kind === 'keyless' ? 'the identity of whoever signs (keyless)' : key.reference;
}
