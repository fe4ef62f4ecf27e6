import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatSandbox } from '../model/format-sandbox.js';
import type { SealedImage } from '../model/sealed-image.js';
import { createIgnoreRules, NEVER_CODE } from '../stages/collect/ignore-rules.js';
import { parseSandbox } from '../stages/load/load-sandbox.js';
import { findSourceLayer, readSource, type SealedEntry } from '../stages/unpack/read-source.js';
import { makeEmptyFolder, writeNewFile, writeSource } from '../stages/unpack/write-source.js';
import { findSealedImage, type TargetTools } from './find-target.js';

/** What a clone wrote. */
export interface CloneResult {
  readonly tag: string;
  readonly seal: string;
  /** Absolute path. */
  readonly directory: string;
  /** Files, links and folders of the source. */
  readonly entries: number;
}

/**
 * Gives back what a seal was made of: the source exactly as it was sealed, and a sandbox.yaml that declares the same.
 * Building it gives the same seal, as long as sjs's template and profile are those that sealed it.
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
  const entries = await withSource(sealed, tools, signal, async (found, openTar) => {
    const { source, exclude, place } = placeSource(found);
    const text = formatSandbox(sealed, { source, exclude, baseEnv: baseImage?.config.Env ?? null });
    const file = join(folder, 'sandbox.yaml');
    // What cannot be declared any more is said now, and not by a build later.
    await parseSandbox(Buffer.from(text), file);
    await mkdir(join(folder, place), { recursive: true });
    await writeSource(join(folder, place), found, openTar);
    await writeNewFile(file, text);
    return found;
  });
  return { tag: sealed.entry.tag, seal: sealed.entry.seal, directory: folder, entries: entries.length };
}

type OpenTar = Parameters<typeof writeSource>[2];

/** Hands over the sealed source, read from the layer that the seal names. */
export async function withSource<T>(
  { image }: SealedImage,
  { images }: TargetTools,
  signal: AbortSignal | undefined,
  use: (entries: readonly SealedEntry[], openTar: OpenTar) => Promise<T>,
): Promise<T> {
  const layer = findSourceLayer(image.diffIds);
  return images.withLayer(image, layer, async (openTar) => use(await readSource(openTar()), openTar), signal);
}

/** Where the source goes, and how sandbox.yaml names it so that all of it is collected again. */
function placeSource(entries: readonly SealedEntry[]): {
  readonly source: string;
  readonly exclude: readonly string[];
  readonly place: string;
} {
  const rules = createIgnoreRules('', []);
  const isLeft = ({ path }: SealedEntry): boolean => rules.withholds(path) || NEVER_CODE.includes(path);
  const [only] = entries;
  // A file that is a source by itself is taken whatever its name is.
  if (only?.kind === 'file' && entries.length === 1 && isLeft(only)) {
    return { source: `source/${only.path}`, exclude: [], place: 'source' };
  }
  const named = entries.filter(
    (entry) => isLeft(entry) && !entries.some(({ path }) => path.startsWith(`${entry.path}/`)),
  );
  return { source: '.', exclude: named.map(({ path }) => `!${path}`), place: '.' };
}
