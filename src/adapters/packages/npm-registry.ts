import { isErrno, SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { inPieces } from '../../model/in-pieces.js';
import { PACKAGE_LIMITS, type LockedPackage } from '../../model/locked-package.js';
import { formatBytes } from '../../model/quantity.js';
import type { PackageRegistry } from '../../ports/package-registry.js';
import { isOwnAddress, loadNpmConfig, tarballAddress, type NpmConfig } from './npm-config.js';
import { TarballCache, type TarballWriter } from './tarball-cache.js';

const FETCH_MS = 10 * 60_000;

/** What the adapter is given. */
export interface NpmSettings {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  /** Absolute folder of cached tarballs. */
  readonly cacheFolder: string;
  /** Told about what was wrong and is mended, or stays. */
  readonly onWarning: (message: string) => void;
}

/** The registries of the operator's npm configuration, asked through npm's own library. */
export function createNpmRegistry({ env, home, cacheFolder, onWarning }: NpmSettings): PackageRegistry {
  const cache = new TarballCache(cacheFolder);
  let loading: Promise<NpmConfig> | undefined;
  const load = (): Promise<NpmConfig> => (loading ??= loadNpmConfig(env, home));
  return {
    addresses: async () => {
      const config = await load();
      return (address, name) => isOwnAddress(address, name, config);
    },

    fetch: async (wanted, signal) => {
      const integrity = integrityOf(wanted);
      const found = await cache.look(integrity);
      if (typeof found === 'number') return found;
      const { name, version } = wanted;
      if (found === 'other') {
        onWarning(`the cached tarball of ${name}@${version} was changed: it is fetched again`);
      }
      const config = await load();
      if (config.options['offline'] === true) throw unavailable(wanted, 'npm is configured to be offline');
      try {
        return await cache.write(integrity, (file) => download(wanted, config, file, signal));
      } catch (error) {
        throw describe(error, wanted, signal);
      }
    },

    touch: (wanted) => cache.touch(integrityOf(wanted)),

    open: (wanted) => readChecked(cache, wanted),

    prune: (options) => cache.prune(options, onWarning),
  };
}

async function* readChecked(cache: TarballCache, wanted: LockedPackage): AsyncGenerator<Uint8Array> {
  try {
    yield* cache.read(integrityOf(wanted));
  } catch (error) {
    throw describe(error, wanted);
  }
}

/** Only a package inside another's tarball has none. */
function integrityOf({ name, integrity }: LockedPackage): string {
  if (integrity !== null) return integrity;
  throw new SjsError('INTERNAL', `${name} has no tarball of its own`);
}

/** A stream of npm's, which tells a late listener of an error that was before. */
type NpmStream = AsyncIterable<Uint8Array> & { on(event: 'error', listener: () => void): unknown };

/** What its types leave out. */
interface Pacote {
  readonly RemoteFetcher: new (
    spec: string,
    options: object,
  ) => {
    cleanupCached: () => Promise<void>;
    tarballStream(take: (stream: NpmStream) => Promise<void>): Promise<void>;
  };
}

async function download(
  wanted: LockedPackage,
  config: NpmConfig,
  file: TarballWriter,
  signal?: AbortSignal,
): Promise<void> {
  const { default: pacote } = await import('pacote');
  const RemoteFetcher = (pacote as unknown as Pacote).RemoteFetcher;
  const { name, version, resolved } = wanted;
  const stop = new AbortController();
  const signals = [stop.signal, AbortSignal.timeout(FETCH_MS), ...(signal ? [signal] : [])];
  const options = {
    ...config.options,
    signal: AbortSignal.any(signals),
    // What is cached, and where, is decided here.
    cache: undefined,
    preferOnline: true,
    preferOffline: false,
  };
  const from = (address: string): Promise<void> => {
    // By its address, as npm ci does: by its version, the registry would be asked for the address each time.
    const fetcher = new RemoteFetcher(`${name}@${address}`, options);
    // npm's own cache is left alone.
    fetcher.cleanupCached = () => Promise.resolve();
    return fetcher.tarballStream(async (stream) => {
      // It may fail before it is read: an error that nobody listens to would end sjs.
      stream.on('error', () => undefined);
      // npm's library asks once more when something was wrong.
      await file.restart();
      for await (const chunk of inPieces(stream)) {
        if ((await file.take(chunk)) <= PACKAGE_LIMITS.tarballBytes) continue;
        stop.abort();
        throw tooLarge(wanted);
      }
    });
  };
  try {
    await from(tarballAddress(name, version, resolved, config));
  } catch (error) {
    // A registry may keep its tarballs elsewhere: then it says where.
    if (resolved !== null || !isErrno(error, 'E404', 'E405')) throw error;
    const manifest = await pacote.manifest(
      `${name}@${version}`,
      options as unknown as Parameters<typeof pacote.manifest>[1],
    );
    await from(manifest._resolved);
  }
}

function describe(error: unknown, wanted: LockedPackage, signal?: AbortSignal): unknown {
  if (error instanceof SjsError) return error;
  if (signal?.aborted) return signal.reason;
  const { name, version } = wanted;
  if (isErrno(error, 'EINTEGRITY')) {
    return new SjsError(
      'PACKAGE_MISMATCH',
      `the tarball of ${name}@${version} does not have the integrity of the lockfile`,
      {
        cause: cleanText(error.message),
        next: 'ask who changed it: the registry, or the lockfile; nothing of it was used',
      },
    );
  }
  return unavailable(wanted, describeFailure(error), error);
}

function describeFailure(error: unknown): string {
  if (isErrno(error, 'E404')) return 'the registry does not have it';
  if (isErrno(error, 'E401', 'E403')) return 'the registry wants other credentials';
  if (isErrno(error, 'ABORT_ERR') || (error as Error).name === 'AbortError') return 'it did not come in time';
  return cleanText((error as Error).message).slice(0, 500);
}

function tooLarge({ name, version }: LockedPackage): SjsError {
  const limit = formatBytes(PACKAGE_LIMITS.tarballBytes);
  return new SjsError('PACKAGE_TOO_LARGE', `the tarball of ${name}@${version} is larger than ${limit}`, {
    next: 'depend on something smaller',
  });
}

function unavailable({ name, version }: LockedPackage, why: string, cause?: unknown): SjsError {
  return new SjsError(
    'PACKAGE_UNAVAILABLE',
    `${name}@${version} is not in the cache and cannot be had: ${why}`,
    {
      cause,
      next: 'see registry, proxy and credentials in npm config list; a build that has everything in the cache asks nobody',
    },
  );
}
