import { resolve } from 'node:path';
import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import { EXPORT_NAMES } from '../model/export-file.js';
import type { Policy } from '../model/policy.js';
import { requirePlatform } from '../model/platform.js';
import { signedDigestsOf, type IndexEntry } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import { checkLayer } from '../stages/archive/check-layer.js';
import { streamArchive, textFile, type ArchiveFile } from '../stages/archive/write-archive.js';
import { deniesAny } from '../stages/policy/effective-policy.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { provideGateway, type ProvideTools } from './provide-gateway.js';
import { readExport, type SealedExport } from './read-export.js';
import { requireCosign } from './require-cosign.js';
import { verifySealStatement, type StatementTools } from './verify-seal-statement.js';
import {
  foreignEntry,
  nowTrustedBy,
  takeIn,
  withSignedBase,
  type Incoming,
  type TakeInTools,
} from './take-in.js';
import { takeRuns } from './take-runs.js';
import { admitSeal, isRefusal, makeProof, subjectOfSeal, withProof } from './trust-seal.js';
import { verifyBaseRequest, type VerifyTools } from './verify-base-request.js';

/** What importing needs of the world. */
export interface ImportTools extends TakeInTools, VerifyTools, ProvideTools, StatementTools {
  readonly store: TakeInTools['store'];
  readonly images: TakeInTools['images'];
  readonly clock: TakeInTools['clock'];
  readonly reporter: TakeInTools['reporter'];
}

/** What came in. */
export interface ImportResult {
  readonly tag: string;
  readonly seal: string;
  /** Whether this SJS_HOME had made, or taken in, the seal before. */
  readonly wasKnown: boolean;
  /** Runs that were not here yet. */
  readonly runs: readonly string[];
}

/**
 * Takes a sealed image and its runs in. Every byte is somebody else's: seal and labels are checked in the archive
 * before the engine is given anything, and again in what the engine then has. A seal that this SJS_HOME did not make
 * comes in only when the operator types it, or when its statement comes with it, signed by whom the policy's `sealed`
 * trusts; its index entry and the records of its runs say so. The gateway of declared traffic is built here, as by a
 * build: none comes from elsewhere.
 * @param trust the full seal that the operator vouches for; null for none
 * @throws SjsError `IMPORT_INVALID`, `SEAL_MISMATCH`, `SEAL_REFUSED`, `SEAL_PLATFORM_MISMATCH`, `SEAL_UNTRUSTED`, and as
 * {@link verifySealStatement} and {@link admitSeal}; while the policy denies digests,
 * what verifying the base throws.
 */
export async function importImage(
  file: string,
  trust: string | null,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<ImportResult> {
  const archive = await readExport(resolve(file), tools);
  const { seal } = archive.manifest.entry;
  const known = await tools.store.findImageBySeal(seal);
  if (trust !== null && trust !== seal) throw untrusted(file, seal, trust);
  const policy = await tools.loadPolicy();
  const accepted = await accept(file, trust, known, archive, policy, tools, signal);
  const update = await checkBase(accepted.update, known, archive, policy, tools, signal);
  const entry = update(known);
  checkSeal(archive.image, entry);
  requirePlatform(archive.image.platform, await tools.images.platform(signal), entry.tag);
  const bring = (building: string): Promise<void> => {
    tools.reporter.step('import', `${entry.tag}, ${entry.seal}`);
    return tools.images.load(() => streamArchive(imageFiles(archive, building)), signal);
  };
  const sealed = await takeIn({ entry, update, isKnown: known !== null, bring }, tools, signal);
  if (accepted.statement !== null) await tools.store.saveSealStatement(seal, accepted.statement);
  const runs = await takeRuns(archive, tools);
  await provideGateway(sealed, await subjectOfSeal(sealed.entry, policy, tools), policy, tools, signal);
  return { tag: entry.tag, seal, wasKnown: known !== null, runs };
}

/** By what a seal comes in. */
interface Accepted extends Pick<Incoming, 'update'> {
  /** Its signed statement, which is kept once the image is in; null for what comes in without. */
  readonly statement: string | null;
}

/**
 * The change of the index by which a seal comes in: the operator vouches for it, or its statement is signed by whom the
 * policy trusts, judged as at a run. Of what was made here nothing has to be shown.
 */
async function accept(
  file: string,
  trust: string | null,
  known: IndexEntry | null,
  archive: SealedExport,
  policy: Policy,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<Accepted> {
  const { seal, base } = archive.manifest.entry;
  const labels = decodeLabels(archive.image.config.Labels ?? {});
  const fresh = foreignEntry(seal, labels, base, 'hand', tools);
  const { tag } = fresh;
  const asIs: Accepted = { update: (now) => now ?? known ?? fresh, statement: null };
  if (known && !known.imported) {
    if (trust !== null) tools.reporter.warn(`${tag} was made here: --trust adds nothing to that`);
    return asIs;
  }
  if (trust !== null) {
    if (known?.imported?.trustedBy === 'signature')
      tools.reporter.warn(`${tag} was trusted by its signature: from now on it is by your word`);
    return { update: (now) => nowTrustedBy(asIs.update(now), 'hand'), statement: null };
  }
  if (known?.imported?.trustedBy === 'hand') return asIs;
  if (archive.statement === null) {
    if (!known) throw untrusted(file, seal, trust);
    await admitSeal({ entry: known, labels }, policy, tools);
    return asIs;
  }
  try {
    await requireCosign(policy, tools, signal);
    const subject = { ...fresh, baseDigest: labels.baseDigest };
    const found = await verifySealStatement(archive.statement, subject, policy, tools, signal);
    const proof = await makeProof(seal, found, [found.provenance.signedBase], tools);
    const signed = nowTrustedBy(fresh, 'signature');
    const update: Incoming['update'] = (now) =>
      withProof(withSignedBase(now ?? known ?? signed, found.provenance), proof);
    await admitSeal({ entry: update(null), labels }, policy, tools);
    return { update, statement: archive.statement };
  } catch (error) {
    // What was taken in before may count by another signature.
    if (!known || !isRefusal(error)) throw error;
    await admitSeal({ entry: known, labels }, policy, tools);
    tools.reporter.warn(
      `${tag} is here by another signature: its statement in ${file} is not kept: ${error.message}`,
    );
    return asIs;
  }
}

function untrusted(file: string, seal: Digest, trust: string | null): SjsError {
  return new SjsError(
    'SEAL_UNTRUSTED',
    trust === null
      ? `the image in ${file} was not sealed here, and nobody vouches for its seal ${seal}`
      : `the image in ${file} has the seal ${seal}, and not ${trust}`,
    {
      next: `ask whoever sealed it to sign it (sjs build --sign) and export it again, or for the seal (sjs images --json there); if it is the same, sjs import --trust ${seal} ${file}`,
    },
  );
}

/**
 * What was signed of the base stands in no seal, and a policy may deny it by that digest alone: then the base is verified
 * as a build would. Without denied digests nothing hangs on it, and the registry need not be within reach.
 */
async function checkBase(
  update: Incoming['update'],
  known: IndexEntry | null,
  { manifest }: SealedExport,
  policy: Policy,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<Incoming['update']> {
  const entry = update(known);
  if (entry.imported?.trustedBy !== 'hand' || signedDigestsOf(entry).length > 0) return update;
  const subject = await subjectOfSeal(entry, policy, tools);
  if (!deniesAny(policy, subject)) return update;
  const { image, digest } = manifest.entry.base;
  const verified = await verifyBaseRequest({ image, digest }, subject, tools, signal);
  if (verified.manifestDigest !== entry.base.manifestDigest) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${entry.tag} was sealed over ${entry.base.manifestDigest}, but ${image}@${digest} is ${verified.manifestDigest}`,
      { next: 'do not use this file' },
    );
  }
  return (now) => {
    const { base, imported, ...rest } = update(now);
    return {
      ...rest,
      base: { ...base, image, digest },
      ...(imported && { imported: { ...imported, isBaseVerified: true } }),
    };
  };
}

/** The image and nothing else, under a tag of ours: the archive's own could name any image of the engine. */
async function* imageFiles(archive: SealedExport, tag: string): AsyncGenerator<ArchiveFile> {
  const layers = new Map(archive.layers.map((name, at) => [name, `layer-${at}.tar`]));
  const { diffIds } = archive.image;
  const list = [
    { Config: 'config.json', RepoTags: [tag], Layers: [...archive.layers.map((name) => layers.get(name))] },
  ];
  yield textFile('config.json', archive.config);
  yield textFile(EXPORT_NAMES.images, JSON.stringify(list));
  for await (const file of archive.open()) {
    const name = layers.get(file.name);
    const diffIdsOfIt = diffIds.filter((_, at) => archive.layers[at] === file.name);
    if (name === undefined) continue;
    yield { ...file, name, content: checkLayer(file.content, new Set(diffIdsOfIt)) };
  }
}
