import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SjsError } from '../../errors.js';
import { findProgram } from '../process/find-program.js';

/** The operator's npm configuration. */
export interface NpmConfig {
  /** What npm's own libraries take: registries, credentials, proxies, certificates, retries. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Host of npm's public registry: where a lockfile names it, the configured one takes its place (`replace-registry-host`). */
  readonly publicHost: string;
}

/**
 * The operator's npm configuration, as npm itself reads it: its built-in file, the global and the user's npmrc, and
 * `NPM_CONFIG_*`. A project's .npmrc is left out, wherever the command was started.
 * @throws SjsError `PACKAGE_UNAVAILABLE` when it cannot be read
 */
export async function loadNpmConfig(env: NodeJS.ProcessEnv, home: string): Promise<NpmConfig> {
  const npm = findProgram('npm', env['PATH'] ?? '');
  const [{ default: Config }, { default: definitions }] = await Promise.all([
    import('@npmcli/config'),
    import('@npmcli/config/lib/definitions/index.js'),
  ]);
  const { definitions: known, shorthands, flatten } = definitions;
  try {
    const config = new Config({
      definitions: known,
      shorthands,
      flatten,
      npmPath: npm === null ? '/nonexistent' : dirname(dirname(await realpath(npm))),
      // A copy: loading writes what it found into it.
      env: { ...env, HOME: home },
      // Of a global installation no project is asked.
      argv: ['node', 'npm', '--global'],
      cwd: '/',
      warn: false,
    });
    await config.load();
    return { options: config.flat, publicHost: new URL(known.registry.default).host };
  } catch (cause) {
    throw new SjsError('PACKAGE_UNAVAILABLE', 'the configuration of npm cannot be read', {
      cause,
      next: 'see that npm config list works',
    });
  }
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** The registry for packages of a name, without a slash at its end. */
export function registryFor(name: string, { options, publicHost }: NpmConfig): string {
  const scope = name.startsWith('@')
    ? textOf(options[`${name.slice(0, name.indexOf('/'))}:registry`])
    : undefined;
  return (scope ?? textOf(options['registry']) ?? `https://${publicHost}/`).replace(/\/+$/, '');
}

/** Whether an address is one of the registry for packages of a name. */
export function isOwnAddress(address: URL, name: string, config: NpmConfig): boolean {
  if (takesPlaceOf(address, config)) return true;
  const registry = new URL(`${registryFor(name, config)}/`);
  return address.origin === registry.origin && address.pathname.startsWith(registry.pathname);
}

/** Whether npm puts the configured registry in the place of the one that is named. */
function takesPlaceOf(address: URL, { options, publicHost }: NpmConfig): boolean {
  const replaced = textOf(options['replaceRegistryHost']) ?? 'npmjs';
  if (address.protocol !== 'https:' || replaced === 'never') return false;
  return replaced === 'always' || address.host === (replaced === 'npmjs' ? publicHost : replaced);
}

/** Where the tarball of a package is asked for first: what the lockfile says, or where registries have it. */
export function tarballAddress(
  name: string,
  version: string,
  resolved: string | null,
  config: NpmConfig,
): string {
  const registry = registryFor(name, config);
  if (resolved === null) return `${registry}/${name}/-/${name.slice(name.indexOf('/') + 1)}-${version}.tgz`;
  const address = new URL(resolved);
  return takesPlaceOf(address, config) ? `${registry}${address.pathname}` : address.href;
}
