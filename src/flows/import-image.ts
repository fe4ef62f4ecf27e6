import { resolve } from 'node:path';
import { SjsError } from '../errors.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { sha256, type Digest } from '../model/digest.js';
import { EXPORT_NAMES } from '../model/export-file.js';
import type { Policy } from '../model/policy.js';
import type { Owner } from '../model/record.js';
import { GATEWAY_NAME } from '../model/sandbox.js';
import { FORMAT_VERSION, formatTag, signedDigestsOf, type IndexEntry } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import type { Reporter } from '../ports/reporter.js';
import { checkLayer } from '../stages/archive/check-layer.js';
import { streamArchive, textFile, type ArchiveFile } from '../stages/archive/write-archive.js';
import { deniesAny } from '../stages/policy/effective-policy.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { refuseTaken } from './build-sandbox.js';
import type { TargetTools } from './find-target.js';
import { provideGateway, type ProvideTools } from './provide-gateway.js';
import { readExport, type SealedExport } from './read-export.js';
import { requireCosign } from './require-cosign.js';
import { verifySealStatement, type StatementTools } from './seal-statement.js';
import { takeRuns } from './take-runs.js';
import { makeProof, subjectOfSeal, withProof } from './trust-seal.js';
import { verifyBaseRequest, type VerifyTools } from './verify-sandbox.js';

/** What importing needs of the world. */
export interface ImportTools extends TargetTools, VerifyTools, ProvideTools, StatementTools {
  readonly store: TargetTools['store'];
  readonly reporter: Reporter;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
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
 * Takes a sealed image and its runs in. Every byte is somebody else's: seal and labels are checked in the archive before
 * the engine is given anything, and again in what the engine then has. A seal that this SJS_HOME did not make comes in
 * only when the operator types it, or when its statement comes with it, signed by whom the policy's `sealed` trusts; its index
 * entry and the records of its runs say so. The gateway of declared traffic is built here, as by a build: none comes from elsewhere.
 * @param trust the full seal that the operator vouches for; null for none
 * @throws SjsError `IMPORT_INVALID`, `SEAL_MISMATCH`, `SEAL_REFUSED`, `SEAL_UNTRUSTED`, and as
 * {@link verifySealStatement}; while the policy denies digests,
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
  const entry = await checkBase(
    known ?? (await acceptNew(file, trust, archive, policy, tools, signal)),
    archive,
    policy,
    tools,
    signal,
  );
  const sealed = checkSeal(archive.image, entry);
  await loadImage(archive, entry, known, tools, signal);
  const runs = await takeRuns(archive, tools);
  await provideGateway(sealed, await subjectOfSeal(sealed.entry, policy, tools), policy, tools, signal);
  return { tag: entry.tag, seal, wasKnown: known !== null, runs };
}

/** The entry of what was not made here: the operator vouches for it, or a signature that the policy trusts does. */
async function acceptNew(
  file: string,
  trust: string | null,
  archive: SealedExport,
  policy: Policy,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<IndexEntry> {
  const entry = newEntry(archive, tools);
  const { seal } = entry;
  if (trust === seal) return entry;
  if (archive.statement === null) throw untrusted(file, seal, trust);
  await requireCosign(policy, tools, signal);
  const labels = decodeLabels(archive.image.config.Labels ?? {});
  const subject = { ...entry, baseDigest: labels.baseDigest };
  const found = await verifySealStatement(archive.statement, subject, policy, tools, signal);
  const { baseImage, signedBase } = found.provenance;
  const signed: IndexEntry = {
    ...entry,
    base: { ...entry.base, image: baseImage ?? entry.base.image, digest: signedBase },
    imported: { at: entry.createdAt, trustedBy: 'signature' },
  };
  await tools.store.saveSealStatement(seal, archive.statement);
  return withProof(signed, await makeProof(seal, found, tools));
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
 * The entry of a seal that comes from elsewhere: what its labels say, which the seal covers, and where its base was said
 * to be. Nothing that a later build could take for its own: its inputs are those of no build.
 */
function newEntry({ manifest, image }: SealedExport, { clock }: ImportTools): IndexEntry {
  const now = new Date(clock.now()).toISOString();
  const { seal, base } = manifest.entry;
  const { name, version, baseDigest, baseVersion } = decodeLabels(image.config.Labels ?? {});
  if (name === GATEWAY_NAME) {
    throw new SjsError('SEAL_REFUSED', `${GATEWAY_NAME} is the gateway of another sjs`, {
      next: 'export what needs it instead: sjs import builds the gateway that goes with this sjs',
    });
  }
  return {
    formatVersion: FORMAT_VERSION,
    seal,
    tag: formatTag(name, version, seal),
    name,
    version,
    imageId: '',
    inputs: sha256(`imported\n${seal}`),
    base: { image: base.image, digest: base.digest, manifestDigest: baseDigest, version: baseVersion },
    createdAt: now,
    imported: { at: now, trustedBy: 'hand' },
  };
}

/**
 * What was signed of the base stands in no seal, and a policy may deny it by that digest alone: then the base is verified
 * as a build would. Without denied digests nothing hangs on it, and the registry need not be within reach.
 */
async function checkBase(
  entry: IndexEntry,
  { manifest }: SealedExport,
  policy: Policy,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<IndexEntry> {
  if (entry.imported?.trustedBy !== 'hand' || signedDigestsOf(entry).length > 0) return entry;
  const subject = await subjectOfSeal(entry, policy, tools);
  if (!deniesAny(policy, subject)) return entry;
  const { image, digest } = manifest.entry.base;
  const verified = await verifyBaseRequest({ image, digest }, subject, tools, signal);
  if (verified.manifestDigest !== entry.base.manifestDigest) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${entry.tag} was sealed over ${entry.base.manifestDigest}, but ${image}@${digest} is ${verified.manifestDigest}`,
      { next: 'do not use this file' },
    );
  }
  return {
    ...entry,
    base: { ...entry.base, image, digest },
    imported: { ...entry.imported, isBaseVerified: true },
  };
}

/** Makes the engine hold the image, unless it does; the index first, the tag last, as a build does. */
async function loadImage(
  archive: SealedExport,
  entry: IndexEntry,
  known: IndexEntry | null,
  tools: ImportTools,
  signal?: AbortSignal,
): Promise<void> {
  const present = await tools.images.inspect(entry.tag, signal);
  if (present) {
    // Somebody else's image under this tag is not replaced.
    checkSeal(present, entry);
    if (known) return entry === known ? undefined : tools.store.saveImage(entry);
  }
  const building = formatBuildingTag(await tools.owner(), tools.createId().toLowerCase());
  tools.reporter.step('import', `${entry.tag}, ${entry.seal}`);
  try {
    await tools.images.load(() => streamArchive(imageFiles(archive, building)), signal);
    const image = await tools.images.inspect(building, signal);
    checkSeal(image, entry);
    await refuseTaken(entry, tools.store);
    await tools.store.saveImage({ ...entry, imageId: image?.imageId ?? '' });
    if (image) await tools.images.tag(image.imageId, entry.tag, signal);
  } finally {
    await tools.images.remove(building).catch((error: unknown) => tools.reporter.debug(String(error)));
  }
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
