import { SjsError } from '../errors.js';
import type { AttestationType } from '../model/attestation-type.js';
import type { Policy } from '../model/policy.js';
import { formatReference, formatRepository, type DigestReference } from '../model/reference.js';
import type { SealProof } from '../model/seal-proof.js';
import type { SealedImage } from '../model/sealed-image.js';
import { formatSigningKey, type SigningKey } from '../model/signing-key.js';
import { requiresSigned, sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { checkProvenances } from '../stages/verify/check-provenance.js';
import { verifySealed } from '../stages/verify/verify-sealed.js';
import type { PushTools } from './push-image.js';
import { makeProof } from './trust-seal.js';

/** Signs the digest and attests of it what is known; returns what is attested now. */
export async function signPushed(
  sealed: SealedImage,
  reference: DigestReference,
  key: SigningKey,
  publicKey: string | null,
  { verifier, reporter, describe }: PushTools,
  signal?: AbortSignal,
): Promise<readonly AttestationType[]> {
  const { seal, name, version } = sealed.entry;
  const attested = await describe(sealed, signal);
  const question = publicKey === null ? null : toQuestion(reference, publicKey);
  const isThere = async (asking: (() => Promise<unknown>) | null): Promise<boolean> =>
    asking !== null &&
    asking().then(
      (found) => found !== false,
      () => false,
    );
  const isSigned = isThere(
    question &&
      (async () => {
        const payloads = await verifier.verify(question, signal);
        return payloads.some(({ annotations }) => annotations['seal'] === seal);
      }),
  );
  const areAttested = attested.map(({ type }) =>
    isThere(question && (() => verifier.verifyAttestation(question, type, signal))),
  );
  if (!(await isSigned)) {
    reporter.step('sign', `${formatReference(reference)} with ${formatSigningKey(key)}`);
    const repository = formatRepository(reference);
    const annotations = { seal, name, ...(version !== null && { version }), repository };
    await verifier.sign(reference, key, annotations, signal);
  }
  // One after the other: cosign keeps the attestations of an image in one place, and the last to write would win.
  for (const [at, { type, predicate }] of attested.entries()) {
    if (await areAttested[at]) continue;
    reporter.step('attest', type);
    await verifier.attest(reference, key, type, predicate, signal);
  }
  return attested.map(({ type }) => type);
}

const toQuestion = (reference: DigestReference, publicKey: string) =>
  ({ reference, signer: { publicKey }, trustedRoot: null, transparencyLog: 'none' }) as const;

/** The proof of what was signed, where this policy trusts who signed it. */
export async function prove(
  reference: DigestReference,
  { entry, labels }: SealedImage,
  policy: Policy,
  tools: PushTools,
  signal?: AbortSignal,
): Promise<SealProof | null> {
  try {
    const requirement = sealedRequirement(policy, formatRepository(reference));
    const signed = await verifySealed(
      reference,
      requirement,
      ['slsaprovenance1'],
      tools.verifier,
      tools.clock,
      signal,
    );
    if (signed.seal !== entry.seal) return null;
    const subject = { name: entry.tag, seal: entry.seal, baseDigest: labels.baseDigest };
    const { signedBases } = checkProvenances(signed.statements.get('slsaprovenance1') ?? [], subject);
    return await makeProof(entry.seal, signed, signedBases, tools);
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    const words = `this policy does not trust what was signed: ${error.message}`;
    if (requiresSigned(policy)) tools.reporter.warn(words);
    else tools.reporter.debug(words);
    return null;
  }
}
