/**
 * What kind of failure a code is; the command line derives its exit status from it (SPEC §7).
 * `usage`: the input is wrong. `verification`: a signature or digest does not hold. `policy`: the operator does
 * not allow it. `unreachable`: engine, registry or tool missing or not answering. `refused`: a seal or right does
 * not hold at run time. `not-found`: no such target. `failed`: sjs or the engine failed.
 */
export type ErrorKind =
  'usage' | 'verification' | 'policy' | 'unreachable' | 'refused' | 'not-found' | 'failed';

/** Every code sjs can report, and its kind. The list is closed: a test meets each of them. */
export const ERROR_CODES = {
  // sandbox.yaml and policy files
  FILE_NOT_FOUND: 'usage',
  FILE_UNREADABLE: 'usage',
  FILE_TOO_LARGE: 'usage',
  YAML_SYNTAX: 'usage',
  YAML_ALIAS: 'usage',
  YAML_MERGE: 'usage',
  YAML_TAG: 'usage',
  YAML_DEPTH: 'usage',
  YAML_MULTIPLE_DOCUMENTS: 'usage',
  YAML_DUPLICATE_KEY: 'usage',
  SANDBOX_INVALID: 'usage',
  NOT_YET: 'usage',
  USAGE: 'usage',
  POLICY_INVALID: 'usage',
  POLICY_UNREADABLE: 'policy',
  POLICY_WRITABLE_BY_OTHERS: 'policy',
  POLICY_VIOLATION: 'policy',
  // base
  REFERENCE_INVALID: 'usage',
  BASE_NOT_PINNED: 'usage',
  BASE_NOT_FOUND: 'not-found',
  BASE_VERSION_NOT_FOUND: 'not-found',
  BASE_PLATFORM_MISSING: 'not-found',
  BASE_UNTRUSTED: 'policy',
  BASE_DENIED: 'policy',
  BASE_UNVERIFIED: 'verification',
  BASE_KEY_MISMATCH: 'verification',
  BASE_KEY_OUT_OF_DATE: 'verification',
  BASE_IDENTITY_MISMATCH: 'verification',
  BASE_DIGEST_MISMATCH: 'verification',
  BASE_VERSION_MISMATCH: 'verification',
  BASE_REPOSITORY_MISMATCH: 'verification',
  BASE_MANIFEST_INVALID: 'verification',
  BASE_CONFIG_REFUSED: 'verification',
  BASE_ROOTFS_REFUSED: 'verification',
  BASE_TOO_LARGE: 'verification',
  // outside tools
  REGISTRY_UNREACHABLE: 'unreachable',
  REGISTRY_UNAUTHORIZED: 'unreachable',
  REGISTRY_INVALID_ANSWER: 'unreachable',
  REGISTRY_DIGEST_MISMATCH: 'verification',
  ATTESTATION_MISSING: 'verification',
  ATTESTATION_MISMATCH: 'verification',
  SBOM_MISMATCH: 'verification',
  COSIGN_MISSING: 'unreachable',
  COSIGN_UNSUPPORTED: 'unreachable',
  COSIGN_TIMEOUT: 'unreachable',
  COSIGN_INVALID_ANSWER: 'verification',
  COSIGN_FAILED: 'failed',
  ENGINE_UNREACHABLE: 'unreachable',
  ENGINE_TIMEOUT: 'unreachable',
  ENGINE_FAILED: 'failed',
  CONTROL_MISSING: 'refused',
  // source and build
  SOURCE_NOT_FOUND: 'usage',
  SOURCE_OUTSIDE: 'usage',
  SOURCE_LINK: 'usage',
  SOURCE_SPECIAL_FILE: 'usage',
  SOURCE_TOO_LARGE: 'usage',
  SOURCE_TOO_MANY_FILES: 'usage',
  SOURCE_TOO_DEEP: 'usage',
  SOURCE_NAME: 'usage',
  SOURCE_COLLISION: 'usage',
  SOURCE_CHANGED: 'usage',
  SOURCE_UNREADABLE: 'usage',
  SOURCE_ROOT: 'usage',
  TEMPLATE_INVALID: 'usage',
  TEMPLATE_VALUE: 'usage',
  LOCKFILE_INVALID: 'usage',
  LOCKFILE_MISMATCH: 'usage',
  PACKAGE_UNAVAILABLE: 'unreachable',
  PACKAGE_MISMATCH: 'verification',
  PACKAGE_REFUSED: 'verification',
  PACKAGE_TOO_LARGE: 'usage',
  LOCK_INVALID: 'usage',
  LOCK_OUTDATED: 'usage',
  BUILD_FAILED: 'failed',
  BUILD_TIMEOUT: 'failed',
  PUSH_FAILED: 'failed',
  // seal
  SEAL_REFUSED: 'refused',
  SEAL_MISMATCH: 'refused',
  SEAL_INDEX_MISMATCH: 'refused',
  SEAL_PROFILE_MISMATCH: 'refused',
  SEAL_PLATFORM_MISMATCH: 'refused',
  SEAL_DIGEST_MISMATCH: 'refused',
  SEAL_REPOSITORY_MISMATCH: 'refused',
  SEAL_UNTRUSTED: 'refused',
  SEAL_UNSIGNED: 'refused',
  SEAL_KEY_OUT_OF_DATE: 'refused',
  SEAL_PROOF_INVALID: 'refused',
  SEAL_IMAGE_MISSING: 'not-found',
  IMPORT_INVALID: 'usage',
  BUILD_UNKNOWN: 'not-found',
  // statements and receipts
  STATEMENT_INVALID: 'verification',
  STATEMENT_UNVERIFIED: 'verification',
  STATEMENT_CHANGED: 'verification',
  RECEIPT_REFUSED: 'refused',
  RECEIPT_MISMATCH: 'verification',
  // run and replay
  TARGET_NOT_FOUND: 'not-found',
  TARGET_AMBIGUOUS: 'not-found',
  NOT_CALLABLE: 'usage',
  ARGUMENTS_INVALID: 'usage',
  POOL_REFUSED: 'usage',
  POOL_CLOSED: 'failed',
  POOL_EXHAUSTED: 'failed',
  POOL_MEMBER_ENDED: 'failed',
  RIGHTS_WIDENED: 'refused',
  SECRET_MISSING: 'refused',
  SECRET_UNDECLARED: 'refused',
  ENV_REFUSED: 'refused',
  RUN_NOT_FOUND: 'not-found',
  RUN_UNFINISHED: 'refused',
  RUN_ENDED: 'refused',
  OUTPUT_TIMES_MISSING: 'failed',
  REPLAY_INPUT_MISSING: 'refused',
  REPLAY_INPUT_CHANGED: 'refused',
  CONTAINER_LOST: 'failed',
  PORT_TAKEN: 'failed',
  GATEWAY_MISSING: 'failed',
  // records
  STORE_FAILED: 'failed',
  STORE_INVALID: 'failed',
  DISK_FULL: 'failed',
  ABORTED: 'failed',
  INTERNAL: 'failed',
} as const satisfies Record<string, ErrorKind>;

/** One of the closed list of stable codes. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** A place in a file a person can open. Lines and columns count from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** Dotted path of the key, as `spec.resources.memory`. */
  readonly path?: string;
}

/** One of several problems that an error reports at once. */
export interface Problem {
  readonly message: string;
  readonly location?: SourceLocation;
  /** The line of the policy that refuses it. */
  readonly policy?: SourceLocation;
  /** The line of the file with a caret below the place, ready to print. */
  readonly snippet?: string;
  /** What to do about it. */
  readonly next?: string;
}

/** What an {@link SjsError} is made of. */
export interface SjsErrorDetails {
  /** What failed underneath: an error, or the words of the tool that refused. */
  readonly cause?: unknown;
  /** A sentence the reader can act on. */
  readonly next?: string;
  readonly location?: SourceLocation;
  /** All problems found, when there can be several (validation, policy). */
  readonly problems?: readonly Problem[];
}

/** The one family of errors that sjs throws. `code` is stable; `message` names what, where and with what figure. */
export class SjsError extends Error {
  override readonly name = 'SjsError';
  readonly code: ErrorCode;
  readonly next: string | undefined;
  readonly location: SourceLocation | undefined;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, details: SjsErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.next = details.next;
    this.location = details.location ?? details.problems?.[0]?.location;
    this.problems = details.problems ?? [];
  }

  /** The kind of its code. */
  get kind(): ErrorKind {
    return ERROR_CODES[this.code];
  }
}

/** True for errors of node:fs and node:net with one of the codes. By shape: they may come from another realm. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return typeof error === 'object' && error !== null && 'code' in error && codes.includes(String(error.code));
}
