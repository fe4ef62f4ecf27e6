import { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import type { Platform, VerifiedBase } from '../model/base.js';
import { canonicalJson } from '../model/canonical-json.js';
import { isDigest, sha256, type Digest } from '../model/digest.js';
import type { Lock } from '../model/lock.js';
import { LAYER_VERSION, PACKAGE_LIMITS } from '../model/locked-package.js';
import { digestOfPackages, type PackageList } from '../model/package-list.js';
import { formatBytes } from '../model/quantity.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import type { Memory } from '../ports/memory.js';
import type { PackageIndex } from '../ports/package-index.js';
import type { PackageRegistry } from '../ports/package-registry.js';
import type { RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { tooLarge } from '../stages/dependencies/refused.js';

/** What the packages of a build need of the world. */
export interface PackageTools {
  /** npm's. */
  readonly packages: () => Promise<PackageRegistry>;
  /** Python's. */
  readonly wheels: () => Promise<PackageIndex>;
  /** Which file of the index a line of a requirements.txt meant. */
  readonly knownWheels: Memory;
  readonly reporter: Reporter;
}

/** What a sandbox says of its packages, read and not yet judged. */
export interface LocatedPackages {
  /** What of them is laid in over a base. */
  pick(base: VerifiedBase, signal?: AbortSignal): Promise<PickedPackages>;
  /** Where a lock has another package than the lockfile asks for; nobody is asked. Throws `LOCKFILE_…`. */
  findOther(lock: Lock): readonly string[];
}

/** What is laid into an image. */
export interface PickedPackages {
  /** Sorted by location, in code-unit order. */
  readonly packages: PackageList;
  /** How many the lockfile has besides. */
  readonly omitted: number;
  readonly source: PackageSource;
}

/** How the packages of an image are had. */
export interface PackageSource {
  /** What decides over the layer besides its list. */
  readonly rule: object;
  /** What each comes in, once. */
  readonly archives: readonly {
    /** Makes the cache hold it; says how many bytes it has. */
    fetch(signal?: AbortSignal): Promise<number>;
    /** Says that it is in use. */
    touch(): Promise<void>;
  }[];
  /** The layer's part of a build context, of archives that the cache holds. */
  lay(): AsyncIterable<Uint8Array>;
}

/** Reads the lockfile of a sandbox; null when it declares no dependencies. */
export async function locatePackages(
  loaded: LoadedSandbox,
  tools: PackageTools,
): Promise<LocatedPackages | null> {
  const { dependencies, language } = loaded.sandbox;
  if (dependencies === null) return null;
  // Each comes with libraries that the other has no use for.
  return language === 'python'
    ? (await import('./python-packages.js')).locateWheels(loaded, dependencies, tools)
    : (await import('./npm-packages.js')).locateNpm(loaded, dependencies, tools);
}

/** A platform as a lock names it. */
export function platformOf(name: string): Platform {
  const [os = '', architecture = ''] = name.split('/');
  return { os, architecture };
}

/** So many at once: npm's own default for sockets. */
const AT_ONCE = 15;

/** Does something for each, some at once. */
export async function eachAtOnce<T>(all: readonly T[], use: (one: T) => Promise<void>): Promise<void> {
  const waiting = all.values();
  const work = async (): Promise<void> => {
    for (const one of waiting) await use(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** What it takes to have the layer of packages that a build asks for. */
export interface LayerTools {
  readonly reporter: Reporter;
  readonly store: Pick<RecordStore, 'createBlob' | 'openBlob' | 'renewBlob' | 'fingerprint'>;
  /** Digest of the layer's part of a build context, by that of its list, and what binds the two to this SJS_HOME. */
  readonly layers: Memory;
}

/**
 * The layer's part of a build context, made anew each time it is opened: laid from tarballs, all of which the cache then
 * holds, or as it was laid before. It depends on the list and on the rule of its source alone.
 */
export async function providePackages(
  chosen: PickedPackages,
  tools: LayerTools,
  signal?: AbortSignal,
): Promise<() => AsyncIterable<Uint8Array>> {
  const { packages, omitted, source } = chosen;
  const rest = omitted === 0 ? '' : `, ${omitted} left out`;
  tools.reporter.step('packages', `${packages.length} packages${rest}`);
  const list = digestOfPackages(packages);
  const key = sha256(canonicalJson({ layer: LAYER_VERSION, list, ...source.rule }));
  const known = await findLayer(key, tools);
  if (known !== null && (await isSound(known, tools))) {
    await touchPackages(chosen);
    return () => tools.store.openBlob(known);
  }
  await fetchPackages(source, signal);
  return () => keep(source.lay(), key, tools);
}

/**
 * {@link providePackages} while the base is checked: neither needs the other. When the check fails, no more is fetched,
 * and its failure is what is thrown.
 */
export async function provideBeside(
  checking: Promise<void>,
  chosen: PickedPackages,
  tools: LayerTools,
  signal?: AbortSignal,
): ReturnType<typeof providePackages> {
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const providing = providePackages(chosen, tools, both);
  providing.catch(() => undefined);
  try {
    await checking;
  } catch (error) {
    stop.abort(new SjsError('ABORTED', 'the base was refused'));
    await providing.catch(() => undefined);
    throw error;
  }
  return providing;
}

/** The layer that was laid of a list; null when none was, or when it was not this SJS_HOME that says which. */
async function findLayer(key: Digest, { store, layers }: LayerTools): Promise<Digest | null> {
  const known = await layers.get(key);
  if (typeof known !== 'object' || known === null) return null;
  const { digest, mac } = known as Readonly<Record<string, unknown>>;
  return isDigest(digest) && mac === (await store.fingerprint(textOfLayer(key, digest))) ? digest : null;
}

/** What the key of an SJS_HOME binds: in its blobs lies much that programs wrote, each under a digest that is right. */
const textOfLayer = (key: Digest, digest: Digest): string => `packages-layer\n${key}\n${digest}`;

/** What was changed since is noticed before the engine gets any of it, and laid anew. */
async function isSound(digest: Digest, { store, reporter }: LayerTools): Promise<boolean> {
  // Young again, so that no prune takes it from under this build.
  if (!(await store.renewBlob(digest))) return false;
  try {
    for await (const chunk of store.openBlob(digest)) void chunk;
    return true;
  } catch (error) {
    reporter.warn(`the cached layer of packages was changed: it is laid anew (${String(error)})`);
    return false;
  }
}

/** Passes a layer on, and keeps it when it comes to its end and the disk takes it. */
async function* keep(
  layer: AsyncIterable<Uint8Array>,
  key: Digest,
  { store, layers }: LayerTools,
): AsyncGenerator<Uint8Array> {
  const writer = await store.createBlob();
  let isKept = true;
  try {
    for await (const chunk of layer) {
      isKept &&= await succeeds(writer.write(chunk));
      yield chunk;
    }
    if (isKept) {
      await succeeds(
        writer.commit().then(async ({ digest }) => {
          await layers.set(key, { digest, mac: await store.fingerprint(textOfLayer(key, digest)) });
        }),
      );
    }
  } finally {
    await writer.discard();
  }
}

const succeeds = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

/** Makes the cache hold every archive, if together they are no more than all of them may unpack to. */
async function fetchPackages({ archives }: PackageSource, signal?: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    let room: number = PACKAGE_LIMITS.bytes;
    await eachAtOnce(archives, async (one) => {
      const bytes = await one.fetch(both);
      room -= bytes;
      if (room < 0) throw tooLarge(`the packages are larger than ${formatBytes(PACKAGE_LIMITS.bytes)}`);
    });
  } catch (error) {
    stop.abort(new SjsError('ABORTED', 'another package could not be had'));
    throw error;
  }
}

/** Says that the archives of a build are in use, though it had no need of them: the next one may, with no registry. */
export async function touchPackages({ source }: PickedPackages): Promise<void> {
  await eachAtOnce(source.archives, (one) => one.touch());
}

/** The context of a build with the packages in front of it. */
export function withPackages<Context extends { open(): Readable }>(
  context: Context,
  openPackages: () => AsyncIterable<Uint8Array>,
): Context {
  const both = async function* (): AsyncGenerator<Uint8Array> {
    yield* openPackages();
    yield* context.open() as AsyncIterable<Uint8Array>;
  };
  return { ...context, open: () => Readable.from(both(), { objectMode: false }) };
}
