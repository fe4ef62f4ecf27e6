import { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import type { Platform, VerifiedBase } from '../model/base.js';
import { canonicalJson } from '../model/canonical-json.js';
import { isDigest, sha256, type Digest } from '../model/digest.js';
import { LAYER_VERSION, type LockedPackage } from '../model/locked-package.js';
import { digestOfPackages } from '../model/package-list.js';
import type { Dependencies, LoadedSandbox } from '../model/sandbox.js';
import type { Memory } from '../ports/memory.js';
import type { PackageRegistry } from '../ports/package-registry.js';
import type { RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import type { IsOwnAddress } from '../stages/dependencies/check-node.js';
import { choosePackages, type ChosenPackages } from '../stages/dependencies/choose-packages.js';
import { layPackages } from '../stages/dependencies/lay-packages.js';
import type { PackagePlatform } from '../stages/dependencies/package-graph.js';
import { readLockfile, type LockedFiles } from '../stages/dependencies/read-lockfile.js';

/** What the packages of a build need of the world. */
export interface PackageTools {
  readonly packages: () => Promise<PackageRegistry>;
  readonly reporter: Reporter;
}

/** What a sandbox says of its packages, read and not yet judged. */
export interface LocatedPackages {
  readonly dependencies: Dependencies;
  readonly files: LockedFiles;
  readonly isOwnAddress: IsOwnAddress;
}

/** Reads the lockfile of a sandbox, and which registries are the operator's; null when it declares no dependencies. */
export async function locatePackages(
  loaded: LoadedSandbox,
  { packages }: PackageTools,
): Promise<LocatedPackages | null> {
  const { dependencies } = loaded.sandbox;
  if (dependencies === null) return null;
  const [files, registry] = await Promise.all([readLockfile(loaded, dependencies.lockfile), packages()]);
  return { dependencies, files, isOwnAddress: await registry.addresses() };
}

/** What of them is laid in over a base. Throws as {@link choosePackages}. */
export function pickPackages(
  located: LocatedPackages | null,
  base: VerifiedBase,
  { reporter }: PackageTools,
): ChosenPackages | null {
  if (located === null) return null;
  const { dependencies, files, isOwnAddress } = located;
  const platform = packagePlatform(base.platform, base.signedVersion);
  const chosen = choosePackages(files, dependencies.omit, platform, isOwnAddress);
  if (chosen.scriptsIgnored.length > 0) {
    reporter.warn(
      `no install script is run, as package.json has it in allowScripts: ${chosen.scriptsIgnored.join(', ')}`,
    );
  }
  return chosen;
}

/** Node's words for an architecture, where they are not OCI's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { amd64: 'x64', '386': 'ia32', ppc64le: 'ppc64' };

/** The platform of a base as packages name it. */
export function packagePlatform({ os, architecture }: Platform, node: string | null): PackagePlatform {
  return { os, cpu: ARCHITECTURES[architecture] ?? architecture, libc: 'glibc', node };
}

/** So many at once: npm's own default for sockets. */
const AT_ONCE = 15;

/** What it takes to have the layer of packages that a build asks for. */
export interface LayerTools extends PackageTools {
  readonly store: Pick<RecordStore, 'createBlob' | 'openBlob' | 'renewBlob' | 'fingerprint'>;
  /** Digest of the layer's part of a build context, by that of its list, and what binds the two to this SJS_HOME. */
  readonly layers: Memory;
}

/**
 * The layer's part of a build context, made anew each time it is opened: laid from tarballs, all of which the cache then
 * holds, or as it was laid before. It depends on the list alone.
 */
export async function providePackages(
  chosen: ChosenPackages,
  tools: LayerTools,
  signal?: AbortSignal,
): Promise<() => AsyncIterable<Uint8Array>> {
  const { packages, omitted } = chosen;
  const rest = omitted === 0 ? '' : `, ${omitted} left out`;
  tools.reporter.step('packages', `${packages.length} packages${rest}`);
  // What was laid once need not be looked at again, except by another rule.
  const silent = packages.filter((one) => one.worksWithoutScript).map(({ location }) => location);
  const aliases = Object.fromEntries(packages.map((one) => [one.location, one.aliases]));
  const list = digestOfPackages(packages);
  const key = sha256(canonicalJson({ layer: LAYER_VERSION, list, silent, aliases }));
  const known = await findLayer(key, tools);
  if (known !== null && (await isSound(known, tools))) {
    await touchPackages(chosen, tools);
    return () => tools.store.openBlob(known);
  }
  await fetchPackages(chosen, tools, signal);
  const registry = await tools.packages();
  const lay = (): AsyncIterable<Uint8Array> => layPackages(packages, (wanted) => registry.open(wanted));
  return () => keep(lay(), key, tools);
}

/**
 * {@link providePackages} while the base is checked: neither needs the other. When the check fails, no more is fetched,
 * and its failure is what is thrown.
 */
export async function provideBeside(
  checking: Promise<void>,
  chosen: ChosenPackages,
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

/** Makes the cache hold every tarball. */
async function fetchPackages(
  chosen: ChosenPackages,
  tools: PackageTools,
  signal?: AbortSignal,
): Promise<void> {
  const registry = await tools.packages();
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    await eachTarball(chosen, (one) => registry.fetch(one, both));
  } catch (error) {
    stop.abort(new SjsError('ABORTED', 'another package could not be had'));
    throw error;
  }
}

/** Says that the tarballs of a build are in use, though it had no need of them: the next one may, with no registry. */
export async function touchPackages(
  chosen: ChosenPackages,
  tools: Pick<PackageTools, 'packages'>,
): Promise<void> {
  const registry = await tools.packages();
  await eachTarball(chosen, (one) => registry.touch(one));
}

/** Some at once; one may lie in several places. */
async function eachTarball(
  { packages }: ChosenPackages,
  use: (wanted: LockedPackage) => Promise<void>,
): Promise<void> {
  const tarballs = packages.filter(({ bundledIn }) => bundledIn === null);
  const waiting = new Map(tarballs.map((one) => [one.integrity, one])).values();
  const work = async (): Promise<void> => {
    for (const one of waiting) await use(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
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
