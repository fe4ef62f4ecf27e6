import { isDigest, isDigestOrNull, type Digest } from './digest.js';
import { fieldsOf } from './fields.js';

/** The commit that a folder's git repository says it is at. Whether the files were changed since is not known. */
export interface GitFacts {
  /** 40 or 64 hex digits. */
  readonly commit: string;
  /** The branch that HEAD names, as `refs/heads/main`; null when it names a commit. */
  readonly ref: string | null;
  /** URL of the remote `origin` without user and password; null when there is none that others could reach. */
  readonly remote: string | null;
}

/** How a seal was made: what its provenance says beside what the image itself shows. */
export interface BuildFacts {
  /** Of this one build, at random. */
  readonly invocationId: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Of the bytes of sandbox.yaml, and of sandbox.lock as it was written; null for code that has neither. */
  readonly sandboxDigest: Digest | null;
  readonly lockDigest: Digest | null;
  /**
   * Of all that was sent to the engine but the npm packages, which have digests of their own; of a rebase, of its
   * Dockerfile and the seal whose layers it took.
   */
  readonly contextDigest: Digest;
  readonly templateDigest: Digest;
  /** Of the operator's policy in force. */
  readonly policyDigest: Digest;
  /** Who signed the base, as the lock names them. */
  readonly baseSigner: string;
  readonly git: GitFacts | null;
  readonly versions: { readonly sjs: string; readonly engine: string; readonly cosign: string };
}

const isText = (value: unknown): boolean => typeof value === 'string';

const isGit = (value: unknown): boolean => {
  const { commit, ref, remote } = fieldsOf(value);
  return isText(commit) && [ref, remote].every((part) => part === null || isText(part));
};

/** Whether a value, as an index entry has it, is all of that. */
export function isBuildFacts(value: unknown): value is BuildFacts {
  const facts = fieldsOf(value);
  const versions = fieldsOf(facts.versions);
  return (
    [facts.invocationId, facts.startedAt, facts.finishedAt, facts.baseSigner].every(isText) &&
    [versions.sjs, versions.engine, versions.cosign].every(isText) &&
    [facts.sandboxDigest, facts.lockDigest].every(isDigestOrNull) &&
    [facts.contextDigest, facts.templateDigest, facts.policyDigest].every(isDigest) &&
    (facts.git === null || isGit(facts.git))
  );
}
