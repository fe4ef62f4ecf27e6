import { PREDICATE_TYPES, type AttestationType } from '../../model/attestation-type.js';
import { hexOf } from '../../model/digest.js';
import { isFields, type Fields } from '../../model/fields.js';
import type { DigestReference } from '../../model/reference.js';
import type { VerifiedStatement } from '../../ports/signature-verifier.js';
import { cosignInvalid } from './cosign-errors.js';
import { parseJson } from '../../model/parse-json.js';

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
/** Versions 0.1 and 1 of the in-toto statement: cosign writes the first. */
const STATEMENT_TYPE = /^https:\/\/in-toto\.io\/Statement\/v(?:0\.1|1)$/;

/**
 * The statements in what `cosign verify-attestation --output json` printed: an envelope a line, whose signature cosign
 * has checked.
 * @throws SjsError `COSIGN_INVALID_ANSWER` when there is none, when one cannot be read, is of another type than was asked
 * for or of another digest.
 */
export function readStatements(
  stdout: string,
  reference: DigestReference,
  type: AttestationType,
): readonly VerifiedStatement[] {
  const lines = stdout.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) throw cosignInvalid('cosign accepts the attestation but names none', stdout);
  return lines.map((line) => {
    const statement = readEnvelope(line);
    const { _type: version, predicateType, subject, predicate } = statement;
    const isStatement = typeof version === 'string' && STATEMENT_TYPE.test(version);
    if (!isStatement || !isFields(predicate)) {
      throw cosignInvalid('cosign accepts an attestation that is no in-toto statement', line);
    }
    if (predicateType !== PREDICATE_TYPES[type]) {
      throw cosignInvalid(
        `cosign was asked for ${type} and answered with another type`,
        String(predicateType),
      );
    }
    const digests = (Array.isArray(subject) ? subject : []).map((one: unknown) =>
      isFields(one) && isFields(one['digest']) ? one['digest']['sha256'] : undefined,
    );
    if (digests.length === 0 || digests.some((digest) => digest !== hexOf(reference.digest))) {
      throw cosignInvalid(
        `cosign was asked about ${reference.digest} and answered with an attestation of another image`,
        JSON.stringify(digests),
      );
    }
    return { predicateType, predicate };
  });
}

function readEnvelope(line: string): Fields {
  try {
    const envelope: unknown = parseJson(line);
    if (
      isFields(envelope) &&
      envelope['payloadType'] === PAYLOAD_TYPE &&
      typeof envelope['payload'] === 'string'
    ) {
      const statement: unknown = parseJson(Buffer.from(envelope['payload'], 'base64').toString());
      if (isFields(statement)) return statement;
    }
  } catch {
    // Said below.
  }
  throw cosignInvalid('cosign accepts the attestation but says nothing readable about it', line);
}
