import type { Digest } from '../../model/digest.js';
import { SjsError, type Problem, type SourceLocation } from '../../errors.js';
import { flagOf } from '../../model/grants.js';
import { formatEgress, isPublicAddress, type Network } from '../../model/network.js';
import type { Policy, PolicyAllow, PolicyLimits } from '../../model/policy.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { matchesName } from '../../model/repository-pattern.js';
import { showPlace } from '../../model/show-place.js';
import type { LoadedSandbox, Permissions, Resources } from '../../model/sandbox.js';
import { LABELS, type SealedLabels } from '../../model/sealed-image.js';
import { deniesAny, isDenied } from './effective-policy.js';

/** What a policy judges, of a sandbox.yaml as of a sealed image. */
interface Rights {
  readonly resources: Resources;
  readonly tmpBytes: number;
  readonly outBytes: number | null;
  readonly network: Network;
  readonly runtime: 'runc';
  readonly secrets: readonly string[];
  readonly permissions: Permissions;
}

/** The key of a limit in sandbox.yaml and in a policy, and how it is written. */
const LIMITS: Record<
  Exclude<keyof PolicyLimits, 'sourceBytes'>,
  { key: string; policyKey: string; show: (value: number) => string }
> = {
  milliCpu: { key: 'resources.cpu', policyKey: 'cpu', show: formatCpu },
  memoryBytes: { key: 'resources.memory', policyKey: 'memory', show: formatBytes },
  pids: { key: 'resources.pids', policyKey: 'pids', show: String },
  files: { key: 'resources.files', policyKey: 'files', show: String },
  timeoutMs: { key: 'resources.timeout', policyKey: 'timeout', show: formatDuration },
  outputBytes: { key: 'resources.output', policyKey: 'output', show: formatBytes },
  tmpBytes: { key: 'filesystem.tmp', policyKey: 'tmp', show: formatBytes },
  outBytes: { key: 'filesystem.out', policyKey: 'out', show: formatBytes },
};

/**
 * Checks what a sandbox declares, with its effective limits.
 * @throws SjsError `POLICY_VIOLATION` with every violation: the line of sandbox.yaml, and the line of the policy.
 */
export function checkSandbox(policy: Policy, loaded: LoadedSandbox, resources: Resources): void {
  const { sandbox } = loaded;
  const rights: Rights = {
    resources,
    ...sandbox.filesystem,
    network: sandbox.network,
    runtime: sandbox.runtime,
    secrets: sandbox.secrets,
    permissions: sandbox.permissions,
  };
  const problems = violations(policy, rights, (key) => {
    const path = `spec.${key}`;
    // Where nobody wrote a sandbox.yaml, flags asked for it.
    if (loaded.isAdHoc) return { name: flagOf(path) ?? path };
    const snippet = loaded.excerpt(path);
    return {
      name: path,
      location: { file: loaded.file, ...loaded.locate(path), path },
      ...(snippet !== undefined && { snippet }),
    };
  });
  throwAll(problems, 'ask for less, or ask the operator to allow more');
}

/**
 * Checks the rights a sealed image's labels claim, as they stand now: labels claim, they never grant.
 * @param signedDigest what was signed of its base, an index or the manifest: either may be denied; null when nobody here
 * knows, which a policy that denies any digest does not take
 * @throws SjsError `BASE_DENIED`, `POLICY_VIOLATION`.
 */
export function checkSealedPlan(
  policy: Policy,
  { plan, baseDigest, name }: SealedLabels,
  signedDigest: Digest | null,
): void {
  if (signedDigest === null && deniesAny(policy)) {
    throw new SjsError(
      'BASE_DENIED',
      `${name} was imported, and its base was not verified here: it can be one that the policy denies`,
      {
        next: 'import its file again with sjs import: while the policy denies digests, that verifies the base',
      },
    );
  }
  if (isDenied(policy, baseDigest) || (signedDigest !== null && isDenied(policy, signedDigest))) {
    throw new SjsError('BASE_DENIED', `${name} was sealed over ${baseDigest}, which the policy denies`, {
      next: 'build it again over another base',
    });
  }
  const { resources, filesystem, network, runtime, secrets, permissions } = plan;
  const rights: Rights = { resources, ...filesystem, network, runtime, secrets, permissions };
  const problems = violations(policy, rights, (key) => ({
    name: key,
    location: { file: `label ${LABELS.plan}`, path: key },
  }));
  throwAll(problems, 'build it again with less, or ask the operator to allow more');
}

/** What a refused right is called, and where it was asked for. */
type Locate = (key: string) => {
  readonly name: string;
  readonly location?: SourceLocation;
  readonly snippet?: string;
};

function violations(policy: Policy, rights: Rights, locate: Locate): Problem[] {
  const asked = { ...rights.resources, tmpBytes: rights.tmpBytes, outBytes: rights.outBytes ?? 0 };
  const toProblem = (key: string, what: string, next?: string): Problem => {
    const { name, ...place } = locate(key);
    return { message: `${name}: ${what}`, ...place, ...(next !== undefined && { next }) };
  };
  const operator = policy.layers.findLast(({ origin }) => origin === 'operator');
  const file = operator?.file ?? 'your policy (~/.config/sjs/policy.yaml)';
  const refused = policy.layers.flatMap((layer) => {
    const refuse = (key: string, policyPath: string, what: string): Problem =>
      toProblem(
        key,
        `${what} (${showPlace(layer.locate(policyPath))})`,
        layer.origin === 'profile' && policyPath === 'allow.network'
          ? `to allow what is declared, write extends: networked into ${file}`
          : undefined,
      );
    const limits = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).flatMap((limit) => {
      const bound = layer.limits[limit];
      const { key, policyKey, show } = LIMITS[limit];
      if (bound === undefined || asked[limit] <= bound) return [];
      return [
        refuse(
          key,
          `limits.${policyKey}`,
          `${show(asked[limit])} is more than the ${show(bound)} that the policy allows`,
        ),
      ];
    });
    return [
      ...limits,
      ...refusedRights(layer.allow, rights).map(([key, list, what]) => refuse(key, `allow.${list}`, what)),
    ];
  });
  const onlyByOperator = needsOperator(policy, rights.network).map(({ key, what, entry }) =>
    toProblem(key, what, `to allow it, add ${entry} of ${file}`),
  );
  return [...refused, ...onlyByOperator];
}

function refusedRights(allow: PolicyAllow, rights: Rights): (readonly [string, keyof PolicyAllow, string])[] {
  const permissions = (Object.keys(rights.permissions) as (keyof Permissions)[]).filter(
    (name) => rights.permissions[name],
  );
  return [
    ...(allow.runtimes && !allow.runtimes.includes(rights.runtime)
      ? [['runtime', 'runtimes', `${rights.runtime} is not allowed`] as const]
      : []),
    ...refusedNetwork(allow, rights.network),
    ...permissions
      .filter((name) => allow.permissions && !allow.permissions.includes(name))
      .map((name) => [`permissions.${name}`, 'permissions', 'is not allowed'] as const),
    ...rights.secrets
      .filter((name) => allow.secrets && !allow.secrets.some((pattern) => matchesName(pattern, name)))
      .map((name) => ['secrets', 'secrets', `the secret ${name} is not allowed`] as const),
  ];
}

type Refusal = readonly [key: string, list: keyof PolicyAllow, what: string];

function refusedNetwork(allow: PolicyAllow, network: Network): Refusal[] {
  if (allow.network && !allow.network.includes(network.mode)) {
    return [['network.mode', 'network', `${network.mode} is not allowed`]];
  }
  if (network.mode === 'none') return [];
  const egress = network.egress.filter((rule) => allow.egress && !allow.egress.some(fitsEgress(rule)));
  const ports = network.ports.filter((port) => allow.ports && !allow.ports.some(fitsPort(port)));
  return [
    ...egress.map((rule): Refusal => ['network.egress', 'egress', `${formatEgress(rule)} is not allowed`]),
    ...ports.map((port): Refusal => ['network.ports', 'ports', `${formatPlace(port)} is not allowed`]),
  ];
}

/** What no absent list and no profile allows: private addresses, and ports that others than this machine can reach. */
function needsOperator(
  policy: Policy,
  network: Network,
): { readonly key: string; readonly what: string; readonly entry: string }[] {
  if (network.mode === 'none') return [];
  const operator = policy.layers.filter(({ origin }) => origin === 'operator').map(({ allow }) => allow);
  const egress = network.egress.filter(
    (rule) => rule.address !== null && !isPublicAddress(rule.address) && !isPinnedByOperator(policy, rule),
  );
  const ports = network.ports.filter(
    (port) =>
      port.hostAddress !== '127.0.0.1' && !operator.some((allow) => allow.ports?.some(fitsPort(port))),
  );
  return [
    ...egress.map((rule) => ({
      key: 'network.egress',
      what: `${rule.address} is a private address, which only an operator's policy can allow`,
      entry: `"${formatEgress(rule)}" to allow.egress (with no such list there: ["*", "${formatEgress(rule)}"])`,
    })),
    ...ports.map((port) => ({
      key: 'network.ports',
      what: `${port.hostAddress} can be reached by others, which only an operator's policy can allow`,
      entry: `"${formatPlace(port)}" to allow.ports (with no such list there: ["127.0.0.1:*", "${formatPlace(port)}"])`,
    })),
  ];
}

/**
 * Checks that nothing is pinned to the engine's own machine, which is no more public to its sandboxes than a private
 * address is.
 * @param hostAddresses public addresses of that machine
 * @throws SjsError `POLICY_VIOLATION` with every declaration that no operator's policy pins
 */
export function checkHostAddresses(policy: Policy, network: Network, hostAddresses: readonly string[]): void {
  if (network.mode === 'none') return;
  const problems = network.egress
    .filter((rule) => rule.address !== null && hostAddresses.includes(rule.address))
    .filter((rule) => !isPinnedByOperator(policy, rule))
    .map((rule) => ({
      message: `network.egress: ${rule.address} is an address of this machine, which only allow.egress: ["${formatEgress(rule)}"] of an operator's policy allows`,
    }));
  throwAll(problems, 'build it again without that address, or ask the operator to allow it');
}

const isPinnedByOperator = (policy: Policy, rule: Declared<'egress'>): boolean =>
  policy.layers
    .filter(({ origin }) => origin === 'operator')
    .some(({ allow }) => allow.egress?.some((pattern) => pattern.includes('=') && fitsEgress(rule)(pattern)));

type Declared<Key extends 'ports' | 'egress'> = (Network & { mode: 'isolated' })[Key][number];

const formatPlace = ({ hostAddress, hostPort }: Declared<'ports'>): string => `${hostAddress}:${hostPort}`;
const fitsPort = (port: Declared<'ports'>) => (pattern: string) => matchesName(pattern, formatPlace(port));
/** A pattern without `=` allows the address that the name has, never one that the sandbox pins it to. */
const fitsEgress = (rule: Declared<'egress'>) => (pattern: string) =>
  pattern === '*' ||
  (pattern.includes('=') === (rule.address !== null) && matchesName(pattern, formatEgress(rule)));

function throwAll(problems: readonly Problem[], next: string): void {
  const [first, ...others] = problems;
  if (!first) return;
  const names = [...new Set(problems.map(({ message }) => message.slice(0, message.indexOf(':'))))];
  const message = others.length === 0 ? first.message : `the policy refuses ${names.join(', ')}`;
  throw new SjsError('POLICY_VIOLATION', message, { problems, next: first.next ?? next });
}
