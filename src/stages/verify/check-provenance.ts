import { SjsError } from '../../errors.js';
import { hexOf, isDigest, type Digest } from '../../model/digest.js';
import { fieldsOf, listOf, textOf } from '../../model/fields.js';
import type { Predicate } from '../../model/predicate.js';

/** What a provenance must be of. */
export interface ProvenanceSubject {
  readonly name: string;
  readonly seal: Digest;
  /** Manifest digest of the base, as the labels have it, which the seal covers. */
  readonly baseDigest: Digest;
}

/** What an attested provenance says, once it is known to be of this seal. */
export interface CheckedProvenance {
  /** What was signed of the base: an index, or the manifest. */
  readonly signedBase: Digest;
  /** `registry/path` of the base; null when it says none. */
  readonly baseImage: string | null;
  readonly buildType: string;
  readonly builder: string;
  /** RFC 3339; null when it does not say. */
  readonly finishedOn: string | null;
  /** Git commit of the source; null when it says none. */
  readonly commit: string | null;
}

/**
 * Compares a provenance with the seal that it is attested of: the seal and the base in it must be those that are there.
 * @throws SjsError `ATTESTATION_MISMATCH`.
 */
export function checkProvenance(
  predicate: Predicate,
  { name, seal, baseDigest }: ProvenanceSubject,
): CheckedProvenance {
  const refuse = (why: string): SjsError =>
    new SjsError('ATTESTATION_MISMATCH', `the provenance of ${name} ${why}`, {
      next: 'ask who signed it: it is not how this image was made',
    });
  const { buildDefinition, runDetails } = predicate;
  const { buildType, resolvedDependencies } = fieldsOf(buildDefinition);
  const { builder, metadata, byproducts } = fieldsOf(runDetails);
  const seals = namedIn(byproducts, 'seal');
  if (seals.length !== 1 || seals[0]?.digest !== hexOf(seal)) {
    throw refuse(seals[0] === undefined ? 'names no seal' : `is of the seal sha256:${seals[0].digest}`);
  }
  const [base, ...others] = namedIn(resolvedDependencies, 'base');
  if (base?.digest !== hexOf(baseDigest) || others.length > 0) {
    throw refuse(
      base === undefined ? 'names no base' : `names the base sha256:${base.digest}, not ${baseDigest}`,
    );
  }
  const [index] = namedIn(resolvedDependencies, 'base index');
  const signedBase = `sha256:${(index ?? base).digest}`;
  const [git] = listOf(resolvedDependencies).filter((one) => one['name'] === 'git');
  const commit = fieldsOf(git?.['digest'])['gitCommit'];
  const { finishedOn } = fieldsOf(metadata);
  return {
    signedBase: isDigest(signedBase) ? signedBase : baseDigest,
    baseImage: repositoryOf(base.uri),
    buildType: textOf(buildType),
    builder: textOf(fieldsOf(builder)['id']),
    finishedOn: typeof finishedOn === 'string' ? finishedOn : null,
    commit: typeof commit === 'string' ? commit : null,
  };
}

/**
 * All provenances that were attested of a seal, each compared with it: of one manifest several indexes may have been
 * signed, and a policy may deny any of them.
 * @throws SjsError `ATTESTATION_MISMATCH`.
 */
export function checkProvenances(
  predicates: readonly Predicate[],
  subject: ProvenanceSubject,
): { readonly provenance: CheckedProvenance | null; readonly signedBases: readonly Digest[] } {
  const all = predicates.map((one) => checkProvenance(one, subject));
  return {
    provenance: all[0] ?? null,
    signedBases: [...new Set(all.map(({ signedBase }) => signedBase))],
  };
}

const namedIn = (
  list: unknown,
  name: string,
): readonly { readonly digest: string; readonly uri: unknown }[] =>
  listOf(list)
    .filter((one) => one['name'] === name)
    .map((one) => ({ digest: textOf(fieldsOf(one['digest'])['sha256']), uri: one['uri'] }));

/** The repository in the package URL of an image. */
function repositoryOf(uri: unknown): string | null {
  if (typeof uri !== 'string' || !uri.startsWith('pkg:oci/')) return null;
  return new URLSearchParams(uri.slice(uri.indexOf('?') + 1)).get('repository_url');
}
