import { createHash } from 'node:crypto';
import type { BillFormat } from '../model/bill-format.js';
import { canonicalJson } from '../model/canonical-json.js';
import { sha256 } from '../model/digest.js';
import {
  isSystemContents,
  type ContentFile,
  type ImageContents,
  type LaidPackage,
  type SystemContents,
} from '../model/image-contents.js';
import { filledLayers } from '../model/image-layers.js';
import { parentOf, type PackageList } from '../model/package-list.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Owner } from '../ports/engine.js';
import type { Memory } from '../ports/memory.js';
import type { Reporter } from '../ports/reporter.js';
import { buildCycloneDx } from '../stages/attest/cyclonedx.js';
import { buildProvenance, type Provenance, type ProvenanceFacts } from '../stages/attest/provenance.js';
import { readSystem } from '../stages/attest/read-system.js';
import { buildSpdx } from '../stages/attest/spdx.js';
import { findSourceLayer, type FileTaker } from '../stages/unpack/read-source.js';
import { fileOwner, parseManifest } from '../stages/unpack/read-manifest.js';
import { withSource } from './clone-image.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { sealedPackages } from './sealed-packages.js';

/** What looking into a sealed image needs of the world. */
export interface ContentTools extends TargetTools {
  readonly reporter: Reporter;
  readonly owner: () => Promise<Owner>;
  /** What bases say that they have in them, by their layers. */
  readonly systems: Memory;
  readonly sjsVersion: string;
  /** RFC 3339; null: see {@link ImageContents.writtenAt}. */
  readonly writtenAt: string | null;
}

/** The bill of materials of a sealed image, as its standard's JSON. */
export async function describeImage(
  target: string,
  format: BillFormat,
  tools: ContentTools,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const contents = await readContents(await findSealedImage(target, tools, signal), tools, signal);
  return format === 'spdx' ? buildSpdx(contents) : buildCycloneDx(contents);
}

/** The SLSA provenance of a seal that was made here. @throws SjsError `BUILD_UNKNOWN` for another. */
export async function describeProvenance(
  target: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<Provenance> {
  return buildProvenance(
    await readProvenanceFacts(await findSealedImage(target, tools, signal), tools, signal),
  );
}

/** What the provenance of a sealed image is written from. */
async function readProvenanceFacts(
  sealed: SealedImage,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<ProvenanceFacts> {
  const stated = new Map<string, LaidPackage | null>();
  const list = await sealedPackages(sealed, tools, signal, {
    onManifest: (location, text) => stated.set(location, parseManifest(location, text)),
  });
  const listed = list.map(({ bundledIn, ...one }): LaidPackage => ({
    ...one,
    licence: stated.get(one.location)?.licence ?? null,
    bundled: bundledIn === null ? null : { in: bundledIn, isLocked: true },
  }));
  const packages = [...listed, ...findUnlisted(list, stated.values())].sort(byLocation);
  return { ...sealed, sourceLayer: findSourceLayer(sealed.image.diffIds), packages };
}

/** Packages in the node_modules of a tarball that the lockfile, and so the list, does not know of: npm unpacks them too. */
function findUnlisted(list: PackageList, stated: Iterable<LaidPackage | null>): readonly LaidPackage[] {
  const listed = new Map(list.map((one) => [one.location, one]));
  const tarballOf = (location: string): string | null => {
    const parent = parentOf(location);
    if (parent === null) return null;
    const found = listed.get(parent);
    return found ? (found.bundledIn ?? parent) : tarballOf(parent);
  };
  return [...stated].flatMap((one): LaidPackage[] => {
    const place = one && !listed.has(one.location) ? tarballOf(one.location) : null;
    return one && place !== null ? [{ ...one, bundled: { in: place, isLocked: false } }] : [];
  });
}

/** What a sealed image is made of, read from its layers; nothing of it runs. */
export async function readContents(
  sealed: SealedImage,
  tools: ContentTools,
  signal?: AbortSignal,
): Promise<ImageContents> {
  const facts = await readProvenanceFacts(sealed, tools, signal);
  // First what lies over the base: an image that sjs would not have packed is refused before anything is kept of its base.
  const { files, packages } = await readOwn(sealed, tools, signal);
  const system = await readBase(sealed, tools, signal);
  const { writtenAt, sjsVersion } = tools;
  return {
    ...facts,
    system,
    files,
    packages: [...facts.packages, ...packages].sort(byLocation),
    writtenAt,
    sjsVersion,
  };
}

const byLocation = (a: LaidPackage, b: LaidPackage): number => (a.location < b.location ? -1 : 1);

/** A base is looked into once: its layers name the same bytes for ever. */
async function readBase(
  { image, labels }: SealedImage,
  tools: ContentTools,
  signal?: AbortSignal,
): Promise<SystemContents> {
  const key = sha256(canonicalJson(filledLayers(image.diffIds).slice(0, labels.packages === null ? -1 : -2)));
  const known = await tools.systems.get(key);
  if (isSystemContents(known)) return known;
  tools.reporter.step('inspect', 'the packages of the base, once');
  const found = await tools.images.withRootfs(image.imageId, await tools.owner(), readSystem, signal);
  await tools.systems.set(key, found);
  return found;
}

/** The files above the base, and the packages that lay in the source. */
async function readOwn(
  sealed: SealedImage,
  tools: ContentTools,
  signal?: AbortSignal,
): Promise<Pick<ImageContents, 'files' | 'packages'>> {
  const sums = new Map<string, string>();
  const packages: LaidPackage[] = [];
  const take: FileTaker = async (at, path, _executable, content) => {
    const location = fileOwner(`${at}/${path}`, 'package.json');
    const hash = createHash('sha1');
    const kept: Uint8Array[] = [];
    for await (const chunk of content) {
      hash.update(chunk);
      if (location !== null) kept.push(chunk);
    }
    sums.set(`/${at}/${path}`, hash.digest('hex'));
    const found = location !== null && parseManifest(location, Buffer.concat(kept).toString('utf8'));
    if (found) packages.push(found);
  };
  return withSource(
    sealed,
    tools,
    signal,
    ({ entries, inputs, own }) => {
      const files = [
        ...entries.flatMap((entry) => (entry.kind === 'file' ? [{ at: 'app', ...entry }] : [])),
        ...inputs.map((input) => ({ at: 'in', ...input })),
        ...own.map((file) => ({ at: '.sjs', ...file })),
      ].map(({ at, path, digest }): ContentFile => {
        const whole = `/${at}/${path}`;
        return { path: whole, digest, sha1: sums.get(whole) ?? '' };
      });
      return Promise.resolve({
        files: files.sort((a, b) => (a.path < b.path ? -1 : 1)),
        packages,
      });
    },
    take,
  );
}
