import { SjsError } from '../errors.js';
import { createHash, createPublicKey } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';
import { fieldsOf } from './fields.js';
import { STATEMENT_TYPE, type Statement } from './statement.js';
import { parseJson } from './parse-json.js';

/** The payload type of in-toto statements in DSSE envelopes. */
const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** The most that a signed statement may have, in characters: one about a run with very many files has less. */
export const MAX_SIGNED_STATEMENT = 16 * 1024 ** 2;

/** A DSSE envelope with its one signature; base64. */
export interface Envelope {
  readonly payload: string;
  readonly payloadType: typeof PAYLOAD_TYPE;
  readonly signatures: readonly [{ readonly sig: string }];
}

/**
 * A signed statement as sjs keeps and reads it: a Sigstore bundle (v0.3) with a DSSE envelope, which is what
 * `cosign attest-blob` of version 3 writes.
 */
export interface SignedStatement {
  readonly envelope: Envelope;
  readonly statement: Statement;
  /** The bundle, written anew from what was read of it: whoever verifies it reads the same as sjs does. */
  readonly text: string;
  /** Which key it says that it is signed by ({@link keyHintOf}); nobody signed that. Null when it says none. */
  readonly keyHint: string | null;
}

/** How a bundle names the key of its signature: the SHA-256 of its DER, in base64. */
export const keyHintOf = (publicKey: string): string =>
  createHash('sha256')
    .update(createPublicKey(publicKey).export({ type: 'spki', format: 'der' }))
    .digest('base64');

/** What DSSE signs of a payload, which has a byte for each character here. */
export const preAuthEncoding = (payload: string): string =>
  `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${Buffer.byteLength(payload)} ${payload}`;

/** The text of a bundle over the payload of a statement, signed by whom the material says. */
export function formatSignedStatement(payload: string, sig: string, verificationMaterial: object): string {
  const dsseEnvelope: Envelope = {
    payload: Buffer.from(payload).toString('base64'),
    payloadType: PAYLOAD_TYPE,
    signatures: [{ sig }],
  };
  return `${JSON.stringify({ mediaType: BUNDLE, verificationMaterial, dsseEnvelope })}\n`;
}

/**
 * Reads a signed statement, without any judgement of its signature.
 * @throws SjsError `STATEMENT_INVALID` for what is no bundle with one signature over a statement in canonical JSON
 * (RFC 8785: no key stands twice, so that all readers read the same).
 */
export function parseSignedStatement(text: string): SignedStatement {
  if (text.length > MAX_SIGNED_STATEMENT) throw invalid('it is larger than 16 MiB');
  const bundle = fieldsOf(parse(text, 'it is not JSON'));
  if (bundle.mediaType !== BUNDLE) throw invalid('it is no Sigstore bundle of version 0.3');
  const { payload, payloadType, signatures } = fieldsOf(bundle.dsseEnvelope);
  if (payloadType !== PAYLOAD_TYPE) throw invalid('it has no in-toto statement');
  if (!Array.isArray(signatures) || signatures.length !== 1) throw invalid('it has not one signature');
  const { sig } = fieldsOf(signatures[0]);
  if (typeof sig !== 'string' || sig === '') throw invalid('it has not one signature');
  const envelope: Envelope = { payload: readText(payload), payloadType, signatures: [{ sig }] };
  const content = Buffer.from(envelope.payload, 'base64');
  const statement = fieldsOf(parse(content.toString(), 'its statement is not JSON'));
  if (!isStatement(statement)) throw invalid('it has no in-toto statement of version 1');
  if (!content.equals(Buffer.from(canonicalJson(statement)))) {
    throw invalid('its statement is not in canonical form');
  }
  const { hint } = fieldsOf(fieldsOf(bundle.verificationMaterial).publicKey);
  return {
    envelope,
    statement,
    text: JSON.stringify({ ...bundle, dsseEnvelope: envelope }),
    keyHint: typeof hint === 'string' ? hint : null,
  };
}

function parse(text: string, problem: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw invalid(problem, cause);
  }
}

function readText(value: unknown): string {
  if (typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value) return value;
  throw invalid('its statement is not base64');
}

function isStatement(
  value: Readonly<Record<string, unknown>>,
): value is Readonly<Record<string, unknown>> & Statement {
  return (
    value._type === STATEMENT_TYPE &&
    typeof value.predicateType === 'string' &&
    Array.isArray(value.subject) &&
    value.subject.every((one) => {
      const { name, digest } = fieldsOf(one);
      return typeof name === 'string' && /^[0-9a-f]{64}$/.test(String(fieldsOf(digest).sha256));
    })
  );
}

const invalid = (why: string, cause?: unknown): SjsError =>
  new SjsError('STATEMENT_INVALID', `this is no signed statement: ${why}`, {
    cause,
    next: 'take the file as it was written when it was signed',
  });
