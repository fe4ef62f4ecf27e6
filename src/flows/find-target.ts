import { SjsError } from '../errors.js';
import { isDigest } from '../model/digest.js';
import type { Language } from '../model/language.js';
import { nearest } from '../model/nearest.js';
import { LABEL_PREFIX, type IndexEntry, type SealedImage } from '../model/sealed-image.js';
import { targetForm, type TargetForm } from '../model/target-form.js';
import { isUlid } from '../model/ulid.js';
import type { ImageStore } from '../ports/image-store.js';
import type { RecordStore } from '../ports/record-store.js';
import { checkSeal } from '../stages/seal/check-seal.js';

/** Rights that a run may ask for on a path or on code alone. */
export interface AskedGrants {
  readonly command?: readonly string[];
  readonly inputs?: readonly string[];
  readonly ports?: readonly string[];
  readonly egress?: readonly string[];
  readonly language?: Language;
}

/**
 * Sealed means sealed (SPEC §2).
 * @throws SjsError `RIGHTS_WIDENED` for any right that is not sealed in.
 */
export function refuseGrants(
  target: string,
  { command, inputs, ports, egress, language }: AskedGrants,
): void {
  const asked = [
    [language, '--language', 'spec.language'],
    [command, '--cmd', 'spec.command'],
    [inputs, '--in', 'spec.inputs'],
    [ports, '--port', 'spec.network.ports'],
    [egress, '--egress', 'spec.network.egress'],
  ] as const;
  const [, flag, key] = asked.find(([given]) => given !== undefined && given.length > 0) ?? [];
  if (flag === undefined) return;
  throw new SjsError('RIGHTS_WIDENED', `${flag} cannot be added to ${target}: it is sealed`, {
    next: `give the path of the code instead of the tag, which seals it anew; or set ${key} in its sandbox.yaml and build`,
  });
}

/** What finding a target needs. */
export interface TargetTools {
  readonly store: RecordStore;
  readonly images: ImageStore;
}

/**
 * The index entry a tag, seal (at least seven digits), name or image in a registry (by its digest there) means; a name
 * means the newest seal built under it.
 * @throws SjsError `TARGET_NOT_FOUND`, `TARGET_AMBIGUOUS` with the candidates; `SEAL_UNTRUSTED` for an image that
 * claims to be sealed but was not sealed here; `USAGE` for paths and stdin.
 */
export async function findEntry(
  target: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<IndexEntry> {
  const form = targetForm(target);
  if (form === 'path' || form === 'stdin') {
    throw new SjsError('USAGE', `${target} is no sealed image`, {
      next:
        form === 'path'
          ? 'give a tag, a seal or a name: sjs images lists them'
          : 'only sjs run takes code on stdin',
    });
  }
  const entries = await tools.store.listImages();
  const found = entries.filter((entry) => matches(entry, target, form));
  if (form === 'name') {
    const newest = [...found].sort((a, b) => (builtAt(a) < builtAt(b) ? 1 : -1))[0];
    if (newest) return newest;
  }
  if (found.length === 1 && found[0]) return found[0];
  if (found.length > 1) {
    throw new SjsError(
      'TARGET_AMBIGUOUS',
      `${target} means ${found.length} sealed images: ${found.map((entry) => entry.tag).join(', ')}`,
      {
        next: 'give more digits of the seal, or the tag',
      },
    );
  }
  if (form === 'tag') await refuseForeign(target, tools.images, signal);
  if (form === 'image') {
    throw new SjsError('TARGET_NOT_FOUND', `${target} was not pulled`, {
      next: `nothing is pulled by a run: sjs pull ${target}`,
    });
  }
  throw new SjsError('TARGET_NOT_FOUND', `there is no sealed image ${target}`, {
    next: isUlid(target.toUpperCase())
      ? `that is the id of a run: sjs replay ${target}`
      : describeMeant(target, form, entries),
  });
}

/** What was probably meant by a target that names nothing. */
function describeMeant(target: string, form: TargetForm, entries: readonly IndexEntry[]): string {
  const imported = entries.find((entry) => form === 'name' && entry.name === target);
  if (imported) return `it was made elsewhere, and goes by its tag: ${imported.tag}`;
  const meant = form === 'tag' ? meantTag(target, entries) : meantName(target, entries);
  return meant === undefined
    ? 'sjs images lists the sealed images, sjs runs the runs; sjs build makes an image'
    : `did you mean ${meant}? sjs images lists all of them`;
}

const meantName = (name: string, entries: readonly IndexEntry[]): string | undefined =>
  nearest(
    name,
    entries.filter(({ imported }) => !imported).map((entry) => entry.name),
  );

/** A tag that is near, else the newest one of a name that is: of digits nobody remembers, few are right. */
function meantTag(target: string, entries: readonly IndexEntry[]): string | undefined {
  const whole = target.startsWith('sjs/') ? target : `sjs/${target}`;
  const newestFirst = [...entries].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  const [name = ''] = whole.slice('sjs/'.length).split(':');
  const near = nearest(
    name,
    newestFirst.map((entry) => entry.name),
  );
  const tags = newestFirst.filter((entry) => entry.name === near).map(({ tag }) => tag);
  return nearest(whole, tags) ?? tags[0];
}

/** When it was built last: what was changed and changed back is the newest again. */
const builtAt = ({ createdAt, usedAt }: IndexEntry): string => usedAt ?? createdAt;

function matches(entry: IndexEntry, target: string, form: TargetForm): boolean {
  if (form === 'image') {
    return entry.pushed?.some(({ repository, digest }) => `${repository}@${digest}` === target) ?? false;
  }
  if (form === 'tag') return entry.tag === target || entry.tag === `sjs/${target}`;
  // A name means what was built here (SPEC §7): nobody else's seal comes in between.
  if (form === 'name') return entry.name === target && !entry.imported;
  return isDigest(target)
    ? entry.seal === target || (entry.pushed?.some(({ digest }) => digest === target) ?? false)
    : entry.seal.startsWith(target.startsWith('sha256:') ? target : `sha256:${target}`);
}

/** Labels claim, they never grant: an image with our labels that we did not seal needs a trusted signature. */
async function refuseForeign(target: string, images: ImageStore, signal?: AbortSignal): Promise<void> {
  const image = await images.inspect(target, signal).catch(() => null);
  if (!image || !Object.keys(image.config.Labels ?? {}).some((label) => label.startsWith(LABEL_PREFIX)))
    return;
  throw new SjsError(
    'SEAL_UNTRUSTED',
    `${target} carries the labels of a sealed image, but was not sealed here and has no trusted signature`,
    {
      next: 'build it here from its sandbox.yaml with sjs build',
    },
  );
}

/** The sealed image a target means, its seal computed anew from the engine and compared. */
export async function findSealedImage(
  target: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<SealedImage> {
  const entry = await findEntry(target, tools, signal);
  return checkSeal(await tools.images.inspect(entry.tag, signal), entry);
}
