import { dump } from 'js-yaml';
import type { Digest } from './digest.js';
import { formatEgress, formatPort, type Network } from './network.js';
import { formatBytes, formatCpu, formatDuration } from './quantity.js';
import { commandOf, startsRuntime, STATEABLE, type Language } from './language.js';
import { scriptPath, typescriptName } from './own-files.js';
import { hasUnprintable, isEnvName, isReservedEnv, type Dependencies, type Determinism } from './sandbox.js';
import type { SealedImage } from './sealed-image.js';
import { splitCommand } from './split-command.js';

/** What of a sandbox.yaml is not in the image itself. */
export interface SandboxPlace {
  /** The source, relative to the file. */
  readonly source: string;
  readonly exclude: readonly string[];
  /** The files at /in, relative to the file. */
  readonly inputs: readonly string[];
  readonly dependencies: Dependencies | null;
  /** Files of the source that sjs made of TypeScript ones: who declares the program names that of its author. */
  readonly stripped: readonly string[];
  /** `NAME=VALUE` of the base; null when nobody knows it. What it sets already need not be said again. */
  readonly baseEnv: readonly string[] | null;
}

/**
 * The text of a sandbox.yaml that declares what is sealed: nothing is left to defaults, and the base is pinned, so that
 * building it gives the same seal.
 */
export function formatSandbox({ entry, image, labels }: SealedImage, place: SandboxPlace): string {
  const { plan } = labels;
  const { resources, filesystem, permissions } = plan;
  const { language = 'node' } = plan;
  const command = writtenCommand(image.config.Entrypoint ?? [], language, place.stripped);
  const env = ownEnv(image.config.Env ?? [], place.baseEnv ?? []);
  // What no runtime could withhold is granted without being stated.
  const stateable = startsRuntime(language, command) ? STATEABLE[language] : [];
  const granted = stateable.filter((name) => permissions[name]).map((name) => [name, true] as const);
  const document = {
    apiVersion: 'sjs/v1',
    kind: 'Sandbox',
    metadata: { name: labels.name, ...(labels.version !== null && { version: labels.version }) },
    spec: {
      language,
      base: { image: entry.base.image, digest: entry.base.digest satisfies Digest },
      source: place.source,
      ...(place.exclude.length > 0 && { exclude: place.exclude }),
      ...(place.inputs.length > 0 && { inputs: place.inputs }),
      ...(place.dependencies && { dependencies: place.dependencies }),
      ...describeCommand(command, language),
      ...(image.config.Cmd && { args: image.config.Cmd }),
      ...(Object.keys(env).length > 0 && { env }),
      ...(plan.secrets.length > 0 && { secrets: plan.secrets }),
      ...(granted.length > 0 && { permissions: Object.fromEntries(granted) }),
      user: image.config.User,
      filesystem: {
        tmp: formatBytes(filesystem.tmpBytes),
        ...(filesystem.outBytes !== null && { out: formatBytes(filesystem.outBytes) }),
      },
      network: describeNetwork(plan.network),
      resources: {
        cpu: formatCpu(resources.milliCpu),
        memory: formatBytes(resources.memoryBytes),
        pids: resources.pids,
        files: resources.files,
        timeout: formatDuration(resources.timeoutMs),
        output: formatBytes(resources.outputBytes),
      },
      ...(plan.modules && { modules: plan.modules }),
      ...(plan.determinism && { determinism: describeDeterminism(plan.determinism) }),
    },
  };
  return dump(document, { lineWidth: -1, noRefs: true });
}

/** The command that was declared, with the TypeScript file that the program was made of. */
function writtenCommand(
  entrypoint: readonly string[],
  language: Language,
  stripped: readonly string[],
): readonly string[] {
  const { author } = splitCommand(entrypoint, language);
  const [program = '', script, ...rest] = author;
  const isMade =
    startsRuntime(language, author) && script !== undefined && stripped.includes(scriptPath(script));
  return isMade ? [program, typescriptName(script), ...rest] : author;
}

const describeDeterminism = ({ clock, seed }: Determinism): object => ({
  ...(clock !== null && { clock }),
  ...(seed !== null && { seed }),
});

function describeNetwork(network: Network): object {
  if (network.mode === 'none') return { mode: 'none' };
  const { ports, egress } = network;
  return {
    mode: 'isolated',
    ...(ports.length > 0 && { ports: ports.map(formatPort) }),
    ...(egress.length > 0 && { egress: egress.map(formatEgress) }),
  };
}

function describeCommand(command: readonly string[], language: Language): object {
  const [program, file = '', ...rest] = command;
  const isEntrypoint =
    program === commandOf(language, '')[0] &&
    rest.length === 0 &&
    /^\/app\/(?:[^./\\][^/\\]*\/)*[^./\\:][^/\\:]*$/.test(file);
  return isEntrypoint ? { entrypoint: file.slice('/app/'.length) } : { command };
}

/** What the author set, as far as it can be told: what the base sets to the same value comes out the same. */
export function ownEnv(env: readonly string[], base: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    env
      .filter((entry) => !base.includes(entry))
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const)
      .filter(([name, value]) => isEnvName(name) && !isReservedEnv(name) && !hasUnprintable(value)),
  );
}
