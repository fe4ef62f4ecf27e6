import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate authority that openssl made in a folder. */
export interface CertificateAuthority {
  /** PEM of its certificate. */
  readonly pem: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Whom a certificate names, and in whose word. */
export interface Certified {
  /** Subject alternative name, as `URI:https://…` or `email:a@b`. */
  readonly subject: string;
  /** OIDC issuer; absent: the certificate names none. */
  readonly issuer?: string;
}

const openssl = (args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: 'pipe', timeout: 30_000 });
};

const makeKey = (file: string): void =>
  openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file]);

/** Has openssl write a certificate over a public key with the extensions, by the authority or by the key itself. */
function certify(
  folder: string,
  name: string,
  key: { readonly privateFile: string } | { readonly publicFile: string },
  authority: CertificateAuthority | null,
  extensions: readonly string[],
): string {
  const file = (suffix: string): string => join(folder, `${name}.${suffix}`);
  // The request only carries a name; -force_pubkey puts the key in that is certified.
  const requester = 'privateFile' in key ? key.privateFile : file('request.key');
  if ('publicFile' in key) makeKey(requester);
  openssl(['req', '-new', '-key', requester, '-subj', `/O=sjs tests/CN=${name}`, '-out', file('csr')]);
  writeFileSync(file('cnf'), extensions.join('\n'));
  openssl([
    ...['x509', '-req', '-in', file('csr'), '-days', '30', '-extfile', file('cnf'), '-out', file('pem')],
    ...['-set_serial', `0x${randomBytes(8).toString('hex')}`],
    ...(authority
      ? ['-CA', authority.certificateFile, '-CAkey', authority.keyFile]
      : ['-signkey', requester]),
    ...('publicFile' in key ? ['-force_pubkey', key.publicFile] : []),
  ]);
  return file('pem');
}

/** Makes an authority; one that the parent vouches for when there is one. */
export function makeAuthority(
  folder: string,
  name: string,
  parent: CertificateAuthority | null = null,
): CertificateAuthority {
  const keyFile = join(folder, `${name}.key`);
  makeKey(keyFile);
  const certificateFile = certify(folder, name, { privateFile: keyFile }, parent, [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]);
  return { pem: readFileSync(certificateFile, 'utf8'), certificateFile, keyFile };
}

/** Makes a certificate of the authority for a public key and returns its file. */
export function makeCertificate(
  folder: string,
  name: string,
  authority: CertificateAuthority,
  publicKey: string,
  { subject, issuer }: Certified,
): string {
  const publicFile = join(folder, `${name}.pub`);
  writeFileSync(publicFile, publicKey);
  return certify(folder, name, { publicFile }, authority, [
    `subjectAltName=critical,${subject}`,
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=codeSigning',
    // Fulcio's extension for the issuer, which holds the bytes as they are.
    ...(issuer === undefined ? [] : [`1.3.6.1.4.1.57264.1.1=DER:${Buffer.from(issuer).toString('hex')}`]),
  ]);
}
