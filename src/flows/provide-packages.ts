import { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import type { Platform, VerifiedBase } from '../model/base.js';
import type { LockedPackage } from '../model/locked-package.js';
import type { Dependencies, LoadedSandbox } from '../model/sandbox.js';
import type { PackageRegistry } from '../ports/package-registry.js';
import type { Reporter } from '../ports/reporter.js';
import {
  choosePackages,
  type ChosenPackages,
  type IsOwnAddress,
} from '../stages/dependencies/choose-packages.js';
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

/** Makes the cache hold every tarball, and returns the layer's part of a build context, made anew each time it is opened. */
export async function fetchPackages(
  { packages, omitted }: ChosenPackages,
  tools: PackageTools,
  signal?: AbortSignal,
): Promise<() => AsyncIterable<Uint8Array>> {
  const registry = await tools.packages();
  const rest = omitted === 0 ? '' : `, ${omitted} left out`;
  tools.reporter.step('packages', `${packages.length} packages${rest}`);
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const waiting = packages.filter(({ bundledIn }) => bundledIn === null).values();
  const work = async (): Promise<void> => {
    for (const one of waiting) await registry.fetch(one, both);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    stop.abort(new SjsError('ABORTED', 'another package could not be had'));
    throw error;
  }
  return () => layPackages(packages, (wanted: LockedPackage) => registry.open(wanted));
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
