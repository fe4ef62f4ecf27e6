import { SjsError, type ErrorCode } from '../../errors.js';
import type { AttestationType } from '../../model/attestation-type.js';
import { cleanText } from '../../model/clean-text.js';
import { formatReference } from '../../model/reference.js';
import { keyHintOf, type SignedStatement } from '../../model/signed-statement.js';
import type { VerifyRequest } from '../../ports/signature-verifier.js';
import type { ProgramResult } from '../process/run-program.js';

/** cosign's own exit codes (its cmd/cosign/errors/exit_codes.go, 2.0 on). */
const NO_SIGNATURE = 10;
const NO_IMAGE = 11;
const NO_MATCHING_SIGNATURE = 12;
const NO_CERTIFICATE = 13;

const SIGN_IT = 'sign it with sjs base import --sign-key …, or trust another signer in the policy';

/** Why there is no answer at all, or null when there is one. */
export function explainNoAnswer(
  result: ProgramResult,
  timeoutMs: number,
  maxOutput: number,
): SjsError | null {
  if (result.missing) {
    return new SjsError('COSIGN_MISSING', 'cosign is not in PATH', {
      next: 'install it: sudo apt-get install cosign (Debian 13, Ubuntu 25.04), or run make setup',
    });
  }
  if (result.timedOut) {
    return new SjsError('COSIGN_TIMEOUT', `cosign did not answer within ${timeoutMs / 1000} s`, {
      next: 'check the way to the registry and, where the policy requires the transparency log, to Sigstore',
    });
  }
  if (result.tooMuchOutput) {
    return cosignInvalid('cosign prints without end', `more than ${maxOutput / 1024 ** 2} MiB`);
  }
  return null;
}

/** cosign said something that cannot be believed. */
export function cosignInvalid(message: string, cause: string): SjsError {
  return new SjsError('COSIGN_INVALID_ANSWER', message, {
    cause: cleanText(cause),
    next: 'check which program cosign in PATH is (command -v cosign), and install it anew',
  });
}

/** No trusted authority gave out the certificate, or there is none. */
const OTHER_AUTHORITY =
  /cert verification failed|leaf certificate verification failed|no certificate found on/;
/** The certificate names another; or a key is expected and a certificate is there, or the other way round. */
const OTHER_SIGNER =
  /none of the expected identities|no matching CertificateIdentity|outside of public key validity window|expected key signature, not certificate/;

/** A signature that is not by the key, or not over these bytes. */
const WRONG_SIGNATURE = /signatures do not match threshold|invalid signature/;

/** What a failed `cosign verify` means. Exit 1 is "refused, reason unknown": never a pass, never tried again. */
export function explainFailedVerify(result: ProgramResult, { reference, signer }: VerifyRequest): SjsError {
  const words = lastWords(result.stderr);
  const name = formatReference(reference);
  const error = (code: ErrorCode, message: string, next: string): SjsError =>
    new SjsError(code, message, { cause: `cosign: ${words}`, next });
  const notBySigner: [ErrorCode, string] =
    'publicKey' in signer
      ? ['BASE_KEY_MISMATCH', `${name} is signed, but not by the trusted key`]
      : ['BASE_IDENTITY_MISMATCH', `${name} is signed, but not by the trusted identity`];

  if (result.exitCode === NO_SIGNATURE) return error('BASE_UNVERIFIED', `${name} has no signature`, SIGN_IT);
  if (result.exitCode === NO_IMAGE) {
    return error('BASE_NOT_FOUND', `${name} does not exist`, 'check the reference, or import the base anew');
  }
  if (/invalid or missing digest in claim|artifact digest does not match/.test(words)) {
    return error('BASE_DIGEST_MISMATCH', `the signature at ${name} is of another image`, SIGN_IT);
  }
  if (OTHER_SIGNER.test(words)) return error(...notBySigner, SIGN_IT);
  if (!('publicKey' in signer) && OTHER_AUTHORITY.test(words)) {
    return error(
      'BASE_IDENTITY_MISMATCH',
      `${name} is signed, but no trusted certificate authority vouches for the signer`,
      SIGN_IT,
    );
  }
  if (
    /transparency log|rekor|\btuf\b|trusted root|inclusion proof|log inclusion|offline verification failed|\bSCTs?\b|certificate timestamp|signed entry timestamp/i.test(
      words,
    )
  ) {
    return error(
      'BASE_UNVERIFIED',
      `${name} cannot be checked against the transparency log`,
      'run cosign initialize where Sigstore can be reached, or state transparencyLog: none for your own key',
    );
  }
  if (words.includes('error verifying bundle')) {
    const message = `the entry of the transparency log that ${name} brings is not that of its signature`;
    return error('BASE_UNVERIFIED', message, SIGN_IT);
  }
  if (result.exitCode === NO_MATCHING_SIGNATURE || WRONG_SIGNATURE.test(words)) {
    return error(...notBySigner, SIGN_IT);
  }
  if (result.exitCode === NO_CERTIFICATE) {
    return error('BASE_UNVERIFIED', `the signature of ${name} has no certificate`, SIGN_IT);
  }
  if (/status code 40[13]|UNAUTHORIZED|DENIED|authentication required/.test(words)) {
    return error(
      'REGISTRY_UNAUTHORIZED',
      `${reference.registry} does not let cosign read ${name}`,
      `log in with docker login ${reference.registry}`,
    );
  }
  if (
    /dial tcp|connection re|no such host|i\/o timeout|TLS handshake|x509:|EOF|status code (?:429|5\d\d)|deadline/.test(
      words,
    )
  ) {
    return error(
      'REGISTRY_UNREACHABLE',
      `cosign cannot reach ${reference.registry}`,
      'check the registry, and try again',
    );
  }
  return error('BASE_UNVERIFIED', `cosign refuses ${name} (exit ${result.exitCode})`, 'see what cosign says');
}

/** What a failed `cosign verify-blob-attestation` means: refused, for a reason that only its words tell. */
export function explainUnverifiedStatement(
  result: ProgramResult,
  { signer }: Pick<VerifyRequest, 'signer'>,
  { keyHint }: Pick<SignedStatement, 'keyHint'>,
): SjsError {
  const cause = `cosign: ${lastWords(result.stderr)}`;
  const isAboutSignature = WRONG_SIGNATURE.test(lastWords(result.stderr));
  if (isAboutSignature && 'publicKey' in signer && keyHint === keyHintOf(signer.publicKey)) {
    return new SjsError('STATEMENT_CHANGED', 'the statement was changed since the trusted key signed it', {
      cause,
      next: 'do not believe it: ask whoever signed it for it anew',
    });
  }
  const whom = 'publicKey' in signer ? 'the trusted key' : 'the trusted identity';
  return new SjsError('STATEMENT_UNVERIFIED', `the statement is not signed by ${whom}`, {
    cause,
    next: 'give the public key of whoever signed it, or ask them for it anew',
  });
}

/**
 * What a failed `cosign verify-attestation` means: none of this type, none by this signer, or what keeps any answer from
 * coming, which is told as for a signature.
 */
export function explainFailedAttestation(
  result: ProgramResult,
  request: VerifyRequest,
  type: AttestationType,
): SjsError {
  const error = explainFailedVerify(result, request);
  const isAboutSigner = /^BASE_(?!NOT_FOUND)/.test(error.code);
  if (!isAboutSigner) return error;
  const name = formatReference(request.reference);
  const words = lastWords(result.stderr);
  const message = /predicate type|no matching attestations:\s*$|no signatures/.test(words)
    ? `${name} has no attestation ${type} that this cosign finds`
    : `${name} has no attestation ${type} by the trusted signer`;
  return new SjsError('ATTESTATION_MISSING', message, {
    cause: error.cause,
    next: `whoever signed it attests it with sjs push --sign, or cosign attest --type ${type}; what cosign 3 attested, cosign 2 does not find`,
  });
}

/** What a failed `cosign sign`, `sign-blob`, `attest` or `public-key` means. */
export function explainFailedCommand(result: ProgramResult, message: string): SjsError {
  const words = lastWords(result.stderr);
  const next = /decrypt/.test(words)
    ? 'give the password of the key in COSIGN_PASSWORD'
    : /no such file/.test(words)
      ? 'check the path of the key file; cosign generate-key-pair makes one'
      : (pluginFor(words) ?? 'see what cosign says');
  return new SjsError('COSIGN_FAILED', message, { cause: `cosign: ${words}`, next });
}

/** Distributions build cosign without some of the key services; programs of these names in PATH bring them back. */
function pluginFor(words: string): string | null {
  const [, scheme] = /unrecognized scheme: ([a-z]+):/.exec(words) ?? [];
  if (scheme === undefined) return null;
  return `this cosign was built without ${scheme}: put the plugin sigstore-kms-${scheme} into PATH, or take the build of the cosign project`;
}

/** The last `Error:` line without its prefix, fit for a terminal. */
function lastWords(stderr: string): string {
  const line = stderr.split('\n').findLast((text) => text.startsWith('Error: ')) ?? stderr.trim();
  return cleanText(line.replace(/^Error: /, ''));
}
