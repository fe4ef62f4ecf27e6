import { SjsError, type ErrorCode } from '../../errors.js';

/**
 * From what leaves the question open to what answers it soonest: nobody can say more before a tool that failed works;
 * after that, the check that got furthest tells most.
 */
const ORDER: readonly ErrorCode[] = [
  'ABORTED',
  'COSIGN_MISSING',
  'COSIGN_UNSUPPORTED',
  'COSIGN_INVALID_ANSWER',
  'COSIGN_TIMEOUT',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_UNAUTHORIZED',
  'POLICY_INVALID',
  'ATTESTATION_MISSING',
  'STATEMENT_CHANGED',
  'BASE_VERSION_MISMATCH',
  'BASE_REPOSITORY_MISMATCH',
  'BASE_DIGEST_MISMATCH',
  'BASE_KEY_OUT_OF_DATE',
  'BASE_IDENTITY_MISMATCH',
  'BASE_KEY_MISMATCH',
  'BASE_UNVERIFIED',
];

/**
 * The one of several refusals that tells the reader most. What is not an {@link SjsError} comes before all; no refusal
 * at all means that cosign accepted and named no signature.
 */
export function mostHelpful(failures: readonly unknown[]): unknown {
  const rank = (failure: unknown): number => {
    if (!(failure instanceof SjsError)) return -1;
    const place = ORDER.indexOf(failure.code);
    return place < 0 ? ORDER.length : place;
  };
  if (failures.length === 0) {
    return new SjsError('COSIGN_INVALID_ANSWER', 'cosign accepts the signature but names none', {
      next: 'check which program cosign in PATH is (command -v cosign), and install it anew',
    });
  }
  return failures.reduce((best, failure) => (rank(failure) < rank(best) ? failure : best));
}
