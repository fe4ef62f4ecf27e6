import {
  toBaseRequest,
  toResources,
  type BaseFile,
  type Quantity,
  type ResourcesFile,
} from '../../model/base-file.js';
import { withoutScheme } from '../../model/builtin-modules.js';
import type { Browser } from '../../model/base-name.js';
import { commandOf, inferLanguage, startsRuntime, type Language } from '../../model/language.js';
import { parseEgress, parsePort, type Network } from '../../model/network.js';
import { readQuantity } from '../../model/schema-check.js';
import {
  DEFAULT_LOCKFILES,
  DEFAULT_PERMISSIONS,
  DEFAULT_TMP_BYTES,
  DEFAULT_USER,
  type Dependencies,
  type Determinism,
  type Modules,
  type Permissions,
  type Sandbox,
} from '../../model/sandbox.js';

/** A sandbox.yaml that fits the schema. */
export interface SandboxFile {
  readonly metadata: { readonly name: string; readonly version?: string };
  readonly spec: {
    readonly language?: Language;
    readonly base?: BaseFile;
    readonly browser?: Browser;
    readonly source: string;
    readonly exclude?: readonly string[];
    readonly inputs?: readonly string[];
    readonly entrypoint?: string;
    readonly command?: readonly string[];
    readonly args?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly secrets?: readonly string[];
    readonly permissions?: Partial<Permissions>;
    readonly user?: string;
    readonly filesystem?: { readonly tmp?: Quantity; readonly out?: Quantity };
    readonly network?: {
      readonly mode?: Network['mode'];
      readonly ports?: readonly string[];
      readonly egress?: readonly string[];
    };
    readonly resources?: ResourcesFile;
    readonly dependencies?: Partial<Dependencies>;
    readonly determinism?: { readonly clock?: string; readonly seed?: number };
    readonly modules?: Partial<Modules>;
  };
}

/** The sandbox a valid file declares, in sjs's own units. */
export function toSandbox({ metadata, spec }: SandboxFile): Sandbox {
  const language = spec.language ?? inferLanguage(spec) ?? 'node';
  const command = spec.command ?? commandOf(language, spec.entrypoint ?? '');
  const [uid, gid] = spec.user?.split(':').map(Number) ?? [];
  const env = Object.fromEntries(Object.entries(spec.env ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    name: metadata.name,
    version: metadata.version ?? null,
    language,
    base: spec.base ? toBaseRequest(spec.base) : null,
    ...(spec.browser && { browser: spec.browser }),
    source: spec.source,
    exclude: spec.exclude ?? [],
    inputs: spec.inputs ?? [],
    command,
    args: spec.args ?? [],
    env,
    secrets: [...(spec.secrets ?? [])].sort(),
    permissions: toPermissions(language, command, known(spec.permissions ?? {})),
    user: uid !== undefined && gid !== undefined ? { uid, gid } : DEFAULT_USER,
    filesystem: {
      tmpBytes:
        spec.filesystem?.tmp === undefined ? DEFAULT_TMP_BYTES : readQuantity('bytes', spec.filesystem.tmp),
      outBytes: spec.filesystem?.out === undefined ? null : readQuantity('bytes', spec.filesystem.out),
    },
    network: toNetwork(spec.network),
    resources: toResources(spec.resources ?? {}),
    runtime: 'runc',
    dependencies: spec.dependencies
      ? {
          lockfile:
            spec.dependencies.lockfile ?? DEFAULT_LOCKFILES[language === 'python' ? language : 'node'],
          omit: [...(spec.dependencies.omit ?? [])].sort(),
        }
      : null,
    ...(spec.determinism && { determinism: toDeterminism(spec.determinism) }),
    ...(spec.modules && { modules: toModules(spec.modules) }),
  };
}

/** What can be kept from a program by its runtime is what was not asked for; all else it can do, and the policy judges that. */
function toPermissions(
  language: Language,
  command: readonly string[],
  stated: Partial<Permissions>,
): Permissions {
  if (startsRuntime(language, command)) {
    if (language === 'node') return { ...DEFAULT_PERMISSIONS, ...stated };
    // Deno's workers have the rights of the program, and so has its WASI.
    if (language === 'deno') return { ...DEFAULT_PERMISSIONS, ...stated, worker: true };
  }
  return { childProcess: true, worker: true, addons: true, wasi: true };
}

/** One spelling of each time: the same declaration is the same seal. */
function toDeterminism({ clock, seed }: NonNullable<SandboxFile['spec']['determinism']>): Determinism {
  return { clock: clock === undefined ? null : new Date(clock).toISOString(), seed: seed ?? null };
}

/** One spelling and one order of each list. */
const toModules = ({ builtins = [], packages = [] }: Partial<Modules>): Modules => ({
  builtins: [...new Set(builtins.map(withoutScheme))].sort(),
  packages: [...packages].sort(),
});

/** In one order, whatever order they were written in: the same rights are the same seal. */
function toNetwork(network: SandboxFile['spec']['network']): Network {
  if (network?.mode !== 'isolated') return { mode: 'none' };
  const ports = [...(network.ports ?? [])].sort().flatMap((text) => parsePort(text) ?? []);
  const egress = [...(network.egress ?? [])].sort().flatMap((text) => parseEgress(text) ?? []);
  return { mode: 'isolated', ports, egress };
}

const known = <T extends object>(value: T): Partial<T> =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-'))) as Partial<T>;
