import { SjsError } from '../../errors.js';
import { fieldsOf } from '../../model/fields.js';
import { formatReference, type DigestReference } from '../../model/reference.js';
import type { VerifiedPayload } from '../../ports/signature-verifier.js';
import { cosignInvalid } from './cosign-errors.js';

/** The payload of cosign 2, which signs `docker-reference` too. */
const SIMPLE_SIGNING = 'cosign container image signature';
/** The statement of cosign 3: only digest and annotations are signed, `docker-reference` repeats the question. */
const BUNDLE_SIGNATURE = 'https://sigstore.dev/cosign/sign/v1';

interface Payload {
  readonly critical?: {
    readonly type?: unknown;
    readonly identity?: { readonly 'docker-reference'?: unknown };
    readonly image?: { readonly 'docker-manifest-digest'?: unknown };
  };
  readonly optional?: unknown;
}

/**
 * The signatures in what `cosign verify --output json` printed. cosign 3.1 also lists attestations by the key, of
 * whatever predicate, and exits 0 with nothing but them: they sign no image here (ATTACKS B14).
 * @throws SjsError `COSIGN_INVALID_ANSWER` when empty, unreadable or about another digest; `BASE_UNVERIFIED` when there
 * are attestations alone.
 */
export function readPayloads(stdout: string, reference: DigestReference): readonly VerifiedPayload[] {
  const payloads = parse(stdout);
  const other = payloads.find(
    ({ critical }) => critical?.image?.['docker-manifest-digest'] !== reference.digest,
  );
  if (other) {
    throw cosignInvalid(
      `cosign was asked about ${reference.digest} and answered about another image`,
      stdout,
    );
  }
  const signatures = payloads.filter(
    ({ critical }) => critical?.type === SIMPLE_SIGNING || critical?.type === BUNDLE_SIGNATURE,
  );
  if (signatures.length === 0) {
    throw new SjsError(
      'BASE_UNVERIFIED',
      `${formatReference(reference)} has attestations, but no signature`,
      {
        next: 'sign it with sjs base import --sign-key …, or trust another signer in the policy',
      },
    );
  }
  return signatures.map((payload) => ({
    digest: reference.digest,
    dockerReference: signedReference(payload),
    annotations: Object.fromEntries(
      Object.entries(fieldsOf(payload.optional)).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  }));
}

function parse(stdout: string): readonly Payload[] {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw cosignInvalid('cosign accepts the signature but says nothing readable about it', stdout);
  }
  if (!Array.isArray(answer) || answer.length === 0) {
    throw cosignInvalid('cosign accepts the signature but names none', stdout);
  }
  return (answer as unknown[]).map((entry) => (typeof entry === 'object' && entry !== null ? entry : {}));
}

function signedReference({ critical }: Payload): string | null {
  const text = critical?.identity?.['docker-reference'];
  return critical?.type === SIMPLE_SIGNING && typeof text === 'string' ? text : null;
}
