import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SjsError } from '../errors.js';
import { cleanText } from '../model/clean-text.js';
import { sha256 } from '../model/digest.js';
import { formatSandbox } from '../model/format-sandbox.js';
import { typescriptName } from '../model/own-files.js';
import type { PackageList } from '../model/package-list.js';
import { packagesFolder, type PackagesFolder } from '../model/language.js';
import { DEFAULT_LOCKFILES, type Dependencies } from '../model/sandbox.js';
import type { SealedImage } from '../model/sealed-image.js';
import { createIgnoreRules, isCompiled, NEVER_CODE } from '../stages/collect/ignore-rules.js';
import { parseSandbox } from '../stages/load/load-sandbox.js';
import {
  findSourceLayer,
  readSource,
  type FileTaker,
  type SealedEntry,
  type SealedSource,
} from '../stages/unpack/read-source.js';
import { makeEmptyFolder, writeNewFile, writeSource } from '../stages/unpack/write-source.js';
import { readLockfile, readRequirementsFile } from '../stages/dependencies/read-lockfile.js';
import { hasInstallScript } from '../stages/dependencies/install-script.js';
import { findOmitted, writeLockfile } from '../stages/dependencies/recover-lockfile.js';
import { packagePlatform } from './npm-packages.js';
import { sealedPackages } from './sealed-packages.js';
import { findSealedImage, type TargetTools } from './find-target.js';

/** What a clone wrote. */
export interface CloneResult {
  readonly tag: string;
  readonly seal: string;
  /** Absolute path. */
  readonly directory: string;
  /** Files, links and folders of the source, and inputs. */
  readonly entries: number;
  /**
   * TypeScript files of which the image has other JavaScript than this sjs makes: another version of sjs made it, or
   * somebody who wants what runs not to be what is read. Building the clone gives another seal.
   */
  readonly strippedOtherwise: readonly string[];
}

/**
 * Gives back what a seal was made of: source and inputs exactly as they were sealed, and a sandbox.yaml that declares the
 * same. Building it gives the same seal, as long as sjs's template and profile are those that sealed it.
 * @throws SjsError `USAGE` for a folder that is not empty; `SEAL_*`.
 */
export async function cloneImage(
  target: string,
  directory: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<CloneResult> {
  const sealed = await findSealedImage(target, tools, signal);
  const { base } = sealed.entry;
  const baseImage = await tools.images
    .inspect(`${base.image}@${base.manifestDigest}`, signal)
    .catch(() => null);
  const folder = await makeEmptyFolder(directory);
  const scripted = new Set<string>();
  const packages = await sealedPackages(sealed, tools, signal, {
    onManifest: (location, text) => {
      if (hasInstallScript(text)) scripted.add(location);
    },
    onGypFile: (location) => scripted.add(location),
  });
  return withSource(sealed, tools, signal, async (found, openTar) => {
    const { entries, inputs, stripped } = found;
    const { source, exclude, place } = placeSource(found, sealed.labels.packages !== null);
    const format = (dependencies: Dependencies | null): string =>
      formatSandbox(sealed, {
        source,
        exclude,
        inputs: inputs.map(({ path }) => `${INPUTS}/${path}`),
        dependencies,
        stripped,
        baseEnv: baseImage?.config.Env ?? null,
      });
    const file = join(folder, 'sandbox.yaml');
    // What cannot be declared any more is said now, and not by a build later.
    await parseSandbox(Buffer.from(format(null)), file);
    const folders = { app: join(folder, place), in: join(folder, INPUTS) };
    await mkdir(folders.app, { recursive: true });
    if (inputs.length > 0) await mkdir(folders.in);
    await writeSource(folders, found, openTar);
    await writeNewFile(file, format(await placePackages(sealed, packages, scripted, folder, found)));
    return {
      tag: sealed.entry.tag,
      seal: sealed.entry.seal,
      directory: folder,
      entries: entries.length - stripped.length + inputs.length,
      strippedOtherwise: await findStrippedOtherwise(folders.app, found),
    };
  });
}

/** Names that npm gives a lockfile, of which the first counts. */
const LOCKFILES = ['npm-shrinkwrap.json', 'package-lock.json'];
const REQUIREMENTS = DEFAULT_LOCKFILES.python;

/** The lockfile of the source, when it has these packages; else one that has these and no others. */
async function placePackages(
  { labels, image }: SealedImage,
  packages: PackageList,
  scripted: ReadonlySet<string>,
  folder: string,
  { entries }: SealedSource,
): Promise<Dependencies | null> {
  if (labels.packages === null) return null;
  const files = new Set(entries.flatMap(({ kind, path }) => (kind === 'file' ? [path] : [])));
  if (labels.plan.language === 'python') {
    const { asksFor, writeRequirements } = await import('./python-packages.js');
    const own = `${SOURCE}/${REQUIREMENTS}`;
    if (files.has(REQUIREMENTS)) {
      const found = await readRequirementsFile({ directory: folder }, own);
      if (asksFor(found, packages, image.platform, labels.baseVersion)) return { lockfile: own, omit: [] };
    }
    await mkdir(join(folder, DEPENDENCIES));
    await writeNewFile(join(folder, DEPENDENCIES, REQUIREMENTS), writeRequirements(packages));
    return { lockfile: `${DEPENDENCIES}/${REQUIREMENTS}`, omit: [] };
  }
  const platform = packagePlatform(image.platform, labels.baseVersion);
  for (const name of LOCKFILES) {
    if (!files.has(name) || !files.has('package.json')) continue;
    const omit = findOmitted(
      await readLockfile({ directory: folder }, `${SOURCE}/${name}`),
      platform,
      labels.packages,
    );
    if (omit !== null) return { lockfile: `${SOURCE}/${name}`, omit };
  }
  const { manifest, lock } = writeLockfile(labels.name, packages, scripted);
  await mkdir(join(folder, DEPENDENCIES));
  await writeNewFile(join(folder, DEPENDENCIES, 'package.json'), manifest);
  await writeNewFile(join(folder, DEPENDENCIES, 'package-lock.json'), lock);
  return { lockfile: `${DEPENDENCIES}/package-lock.json`, omit: [] };
}

/** Where the inputs of a clone are; its source is then in a folder of its own, which has none of them in it. */
const INPUTS = 'in';
const SOURCE = 'source';
/** Where a lockfile is that was made for a clone. */
const DEPENDENCIES = 'dependencies';

type OpenTar = Parameters<typeof writeSource>[2];

/** Hands over the sealed source, read from the layer that the seal names; `onFile` gets the contents meanwhile. */
export async function withSource<T>(
  { image, labels }: SealedImage,
  { images }: TargetTools,
  signal: AbortSignal | undefined,
  use: (source: SealedSource, openTar: OpenTar) => Promise<T>,
  onFile?: FileTaker,
): Promise<T> {
  const layer = findSourceLayer(image.diffIds);
  const read = async (openTar: OpenTar): Promise<T> => {
    const source = await readSource(openTar(), onFile);
    if (labels.packages !== null) refusePackages(source, packagesFolder(labels.plan.language ?? 'node'));
    return use(source, openTar);
  };
  return images.withLayer(image, layer, read, signal);
}

/** Where the source goes, and how sandbox.yaml names it so that all of it is collected again. */
function placeSource(
  { entries: all, inputs, stripped }: SealedSource,
  hasPackages: boolean,
): {
  readonly source: string;
  readonly exclude: readonly string[];
  readonly place: string;
} {
  const rules = createIgnoreRules('', []);
  const isLeft = ({ path }: SealedEntry): boolean =>
    rules.withholds(path) || isCompiled(path) || NEVER_CODE.includes(path);
  const entries = all.filter(({ path }) => !stripped.includes(path));
  const [only] = entries;
  // A file that is a source by itself is taken whatever its name is.
  if (only?.kind === 'file' && entries.length === 1 && isLeft(only)) {
    return { source: `${SOURCE}/${only.path}`, exclude: [], place: SOURCE };
  }
  const named = entries.filter(
    (entry) => isLeft(entry) && !entries.some(({ path }) => path.startsWith(`${entry.path}/`)),
  );
  const place = inputs.length > 0 || hasPackages ? SOURCE : '.';
  return { source: place, exclude: named.map(({ path }) => `!${path}`), place };
}

/** What the label says of the packages would not be what runs. */
function refusePackages({ entries }: SealedSource, folder: PackagesFolder): void {
  const found = entries.find(({ path }) => `${path}/`.startsWith(`${folder}/`));
  if (!found) return;
  throw new SjsError('SEAL_REFUSED', `the sealed source covers a package: it has ${cleanText(found.path)}`, {
    next: 'do not use this image; build it again from its source and lockfile',
  });
}

async function findStrippedOtherwise(
  folder: string,
  { entries, stripped }: SealedSource,
): Promise<readonly string[]> {
  if (stripped.length === 0) return [];
  // TypeScript's parser is large, and few images need it.
  const { strip } = await import('../stages/pack/strip-types.js');
  const digests = new Map(
    entries.flatMap((entry) => (entry.kind === 'file' ? [[entry.path, entry.digest]] : [])),
  );
  const otherwise: string[] = [];
  for (const made of stripped) {
    const written = typescriptName(made);
    const result = strip(await readFile(join(folder, written), 'utf8'));
    if (!('code' in result) || sha256(result.code) !== digests.get(made)) otherwise.push(written);
  }
  return otherwise;
}
