import { SjsError } from '../errors.js';
import type { AttestationType } from '../model/attestation-type.js';
import type { Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { Predicate } from '../model/predicate.js';
import { formatReference, formatRepository, parseReference, type TagReference } from '../model/reference.js';
import type { PushedSeal } from '../model/seal-proof.js';
import type { IndexEntry, SealedImage } from '../model/sealed-image.js';
import type { SigningKey } from '../model/signing-key.js';
import type { Registry } from '../ports/registry.js';
import type { Reporter } from '../ports/reporter.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { pushRepository } from '../stages/policy/effective-policy.js';
import { resolveSealed } from '../stages/resolve/resolve-sealed.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { prove, signPushed } from './sign-pushed.js';
import { withProof, type TrustTools } from './trust-seal.js';

/** What pushing needs of the world. */
export interface PushTools extends TargetTools, TrustTools {
  readonly store: TargetTools['store'];
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly reporter: Reporter;
  readonly loadPolicy: () => Promise<Policy>;
  /** What is attested of a seal that is signed. */
  readonly describe: (sealed: SealedImage, signal?: AbortSignal) => Promise<readonly Attested[]>;
}

/** One thing to be attested. */
export interface Attested {
  readonly type: AttestationType;
  readonly predicate: Predicate;
}

/** Where to push, and with what to sign. */
export interface PushOptions {
  /** `registry/path`, to which the name of the sandbox is added; null for that of the policy. */
  readonly repository: string | null;
  /** Null leaves it unsigned. */
  readonly key: SigningKey | null;
}

/** A sealed image in a registry. */
export interface PushResult {
  readonly tag: string;
  readonly seal: string;
  /** `registry/path@digest`: what to pull, run and verify. */
  readonly reference: string;
  readonly repository: string;
  readonly digest: string;
  /** False when the registry had it under that tag already. */
  readonly wasPushed: boolean;
  readonly isSigned: boolean;
  /** What was attested of it. */
  readonly attestations: readonly AttestationType[];
  /** Whether this policy would let the image run somewhere else: its `sealed` trusts who signed. */
  readonly isTrusted: boolean;
}

/**
 * Pushes a sealed image through the engine, under its tag; a tag that names another seal there is never moved. What the
 * registry has then is read back and its seal computed anew. With a key that digest is signed, and provenance and bills
 * of materials are attested of it. What was pushed, or signed and attested by that key, is not done twice; what a
 * certificate signed is, each time.
 * @throws SjsError `USAGE` without a repository, `PUSH_FAILED`, `SEAL_REFUSED`, `COSIGN_FAILED`; as finding the image does,
 * and what the registry fails with.
 */
export async function pushImage(
  target: string,
  { repository: given, key }: PushOptions,
  tools: PushTools,
  signal?: AbortSignal,
): Promise<PushResult> {
  const [sealed, policy] = await Promise.all([findSealedImage(target, tools, signal), tools.loadPolicy()]);
  const { entry } = sealed;
  const place = placeOf(sealed, given ?? pushRepository(policy));
  const repository = formatRepository(place);
  // A key that cannot sign is found before anything is pushed.
  const publicKey = key === null ? null : await tools.verifier.publicKey(key, signal);
  const { digest, wasPushed } = await push(sealed, place, tools, signal);
  const reference = { registry: place.registry, path: place.path, digest };
  const attestations = key === null ? [] : await signPushed(sealed, reference, key, publicKey, tools, signal);
  const now = new Date(tools.clock.now()).toISOString();
  await tools.store.updateImage(entry.seal, (known) =>
    withPlace(known ?? entry, { repository, digest, at: now, publicKey }),
  );
  const proof = key === null ? null : await prove(reference, sealed, policy, tools, signal);
  if (proof) await tools.store.updateImage(entry.seal, (known) => withProof(known ?? entry, proof));
  tools.reporter.done();
  return {
    tag: entry.tag,
    seal: entry.seal,
    reference: formatReference(reference),
    repository,
    digest,
    wasPushed,
    isSigned: key !== null,
    attestations,
    isTrusted: proof !== null,
  };
}

/**
 * Where a sealed image is pushed to: `<repository>/<name>:<tag>`, the tag as it is here without `sjs/`.
 * @throws SjsError `USAGE` when nothing says where, or what says it is no repository.
 */
export function placeOf({ entry }: SealedImage, repository: string | null): TagReference {
  if (repository === null) {
    throw new SjsError('USAGE', `nothing says where ${entry.tag} is pushed to`, {
      next: 'state defaults.repository in your policy, or name a repository: sjs push <tag> registry.example.com/sandboxes',
    });
  }
  const { tag, digest, ...place } = parseReference(`${repository}/${entry.name}`);
  if (parseReference(repository).tag !== undefined || tag !== undefined || digest !== undefined) {
    throw new SjsError('USAGE', `${repository} is no repository: it has a tag or digest`, {
      next: 'end it before the colon: the tag is that of the sealed image',
    });
  }
  return { ...place, tag: entry.tag.slice(entry.tag.indexOf(':') + 1) };
}

/** Makes the registry have the seal under the tag, unless it does. */
async function push(
  { entry, image }: SealedImage,
  place: TagReference,
  { images, registry, reporter }: PushTools,
  signal?: AbortSignal,
): Promise<{ readonly digest: Digest; readonly wasPushed: boolean }> {
  const name = formatReference(place);
  const look = () => resolveSealed(place, place.tag, image.platform, registry, signal);
  const there = await look();
  if (there?.seal === entry.seal) {
    const isOurs = (entry.pushed ?? []).some(({ digest }) => digest === there.digest);
    if (there.isIndex && !isOurs) {
      throw new SjsError(
        'SEAL_REFUSED',
        `${name} is an index that was not pushed from here: it can name other images too`,
        {
          next: 'push to another repository: what is signed must be this image alone',
        },
      );
    }
    reporter.step('push', `${name} is there already`);
    return { digest: there.digest, wasPushed: false };
  }
  if (there) {
    throw new SjsError('SEAL_REFUSED', `${name} is there already, with another seal: ${there.seal}`, {
      next: 'push to another repository, or change metadata.version and build again: a tag is never moved',
    });
  }
  reporter.step('push', name);
  const credentials = await registry.credentials(place.registry, signal);
  const had = await images.inspect(name, signal);
  if (had && had.imageId !== image.imageId) {
    throw new SjsError('PUSH_FAILED', `the engine has another image under ${name}`, {
      next: `see docker image inspect ${name}, and remove the tag`,
    });
  }
  await images.tag(image.imageId, name, signal);
  let digest: Digest;
  try {
    digest = await images.push(place, credentials, (message) => reporter.debug(message), signal);
  } finally {
    if (!had) await images.remove(name).catch((error: unknown) => reporter.debug(String(error)));
  }
  const stored = await look();
  if (stored?.digest !== digest || stored.seal !== entry.seal) {
    throw new SjsError('PUSH_FAILED', `${name} does not name what was pushed there`, {
      cause: `expected ${digest} with the seal ${entry.seal}, found ${stored ? `${stored.digest} with ${stored.seal}` : 'nothing'}`,
      next: 'somebody else writes to that tag: push to another repository',
    });
  }
  return { digest, wasPushed: true };
}

/** The entry with the place as the newest one; who signed it from here before is not forgotten. */
export function withPlace(entry: IndexEntry, place: PushedSeal): IndexEntry {
  const isThere = ({ repository, digest }: PushedSeal): boolean =>
    repository === place.repository && digest === place.digest;
  const { pushed = [] } = entry;
  const publicKey = place.publicKey ?? pushed.find(isThere)?.publicKey ?? null;
  return { ...entry, pushed: [...pushed.filter((one) => !isThere(one)), { ...place, publicKey }] };
}
