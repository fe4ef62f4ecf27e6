import { createPublicKey, X509Certificate } from 'node:crypto';

/** From when to when an authority or a log counts. */
interface Validity {
  readonly start?: string;
  readonly end?: string;
}

interface Log {
  readonly publicKey: { readonly rawBytes: string; readonly validFor?: Validity };
}

/** What sjs reads of a Sigstore trusted root (`dev.sigstore.trustroot.v1`, in JSON). */
interface TrustedRootFile {
  readonly certificateAuthorities?: readonly {
    readonly certChain: { readonly certificates: readonly { readonly rawBytes: string }[] };
    readonly validFor?: Validity;
  }[];
  readonly tlogs?: readonly Log[];
  readonly ctlogs?: readonly Log[];
}

/** The parts of a trusted root that count at a time, as PEM. */
export interface TrustedRoot {
  /** Of each authority the last certificate of its chain. */
  readonly roots: readonly string[];
  readonly intermediates: readonly string[];
  /** Keys of transparency logs. */
  readonly logs: readonly string[];
  /** Keys of logs of certificates. */
  readonly certificateLogs: readonly string[];
}

const MEDIA_TYPE = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';

/**
 * Reads the text of a trusted root.
 * @param now what is not valid at that time is left out; absent, nothing is
 * @throws Error that says what is wrong with it
 */
export function readTrustedRoot(text: string, now?: number): TrustedRoot {
  const root = JSON.parse(text) as TrustedRootFile;
  const counts = (validity: Validity | undefined): boolean => {
    const [start, end] = [timeOf(validity?.start, -Infinity), timeOf(validity?.end, Infinity)];
    return now === undefined || (start <= now && now <= end);
  };
  const chains = (root.certificateAuthorities ?? [])
    .filter(({ validFor }) => counts(validFor))
    .map(({ certChain }) => certChain.certificates.map(({ rawBytes }) => toCertificate(rawBytes)));
  const keysOf = (logs: readonly Log[] = []): string[] =>
    logs
      .filter(({ publicKey }) => counts(publicKey.validFor))
      .map(({ publicKey }) => toPublicKey(publicKey.rawBytes));
  return {
    roots: chains.flatMap((chain) => chain.slice(-1)),
    intermediates: chains.flatMap((chain) => chain.slice(0, -1)),
    logs: keysOf(root.tlogs),
    certificateLogs: keysOf(root.ctlogs),
  };
}

/**
 * The certificates of a PEM text, each an authority in its own right.
 * @throws Error when there is none, or one that is no certificate authority's
 */
export function readCaRoots(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const certificates = blocks.map((block) => new X509Certificate(block));
  const other = certificates.find(({ ca }) => !ca);
  if (certificates.length === 0) throw new Error('there is no certificate in it');
  if (other) throw new Error(`${JSON.stringify(other.subject)} is no certificate authority`);
  return certificates;
}

/** The trusted root with the given authorities in place of its own; with none at all where there is no root. */
export function withAuthorities(trustedRoot: string | null, caRoots: string): string {
  const certificateAuthorities = readCaRoots(caRoots).map(({ raw }) => ({
    subject: {},
    certChain: { certificates: [{ rawBytes: raw.toString('base64') }] },
    validFor: { start: '1970-01-01T00:00:00Z' },
  }));
  const rest = trustedRoot === null ? { mediaType: MEDIA_TYPE } : (JSON.parse(trustedRoot) as object);
  return JSON.stringify({ ...rest, certificateAuthorities });
}

function timeOf(date: string | undefined, otherwise: number): number {
  const time = date === undefined ? otherwise : Date.parse(date);
  if (Number.isNaN(time)) throw new Error(`${JSON.stringify(date)} is no date`);
  return time;
}

const toCertificate = (rawBytes: string): string =>
  new X509Certificate(Buffer.from(rawBytes, 'base64')).toString();

const toPublicKey = (rawBytes: string): string =>
  createPublicKey({ key: Buffer.from(rawBytes, 'base64'), format: 'der', type: 'spki' })
    .export({ type: 'spki', format: 'pem' })
    .toString();
