import type { Digest } from '../../model/digest.js';
import { SjsError, type Problem, type SourceLocation } from '../../errors.js';
import { formatEgress, isPublicAddress, type Network } from '../../model/network.js';
import type { Policy, PolicyAllow, PolicyLimits } from '../../model/policy.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { matchesName } from '../../model/repository-pattern.js';
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
    const snippet = loaded.excerpt(path);
    return {
      location: { file: loaded.file, ...loaded.locate(path), path },
      ...(snippet !== undefined && { snippet }),
    };
  });
  throwAll(problems, 'ask for less in sandbox.yaml, or ask the operator to allow more');
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
    location: { file: `label ${LABELS.plan}`, path: key },
  }));
  throwAll(problems, 'build it again with less, or ask the operator to allow more');
}

type Locate = (key: string) => { readonly location: SourceLocation; readonly snippet?: string };

function violations(policy: Policy, rights: Rights, locate: Locate): Problem[] {
  const asked = { ...rights.resources, tmpBytes: rights.tmpBytes, outBytes: rights.outBytes ?? 0 };
  const onlyByOperator = needsOperator(policy, rights.network).map(([key, what]): Problem => ({
    message: `${key}: ${what}`,
    ...locate(key),
  }));
  const refused = policy.layers.flatMap((layer) => {
    const refuse = (key: string, policyPath: string, what: string): Problem => ({
      message: `${key}: ${what} (${showPlace(layer.locate(policyPath))})`,
      ...locate(key),
    });
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
  return [...refused, ...onlyByOperator];
}

function refusedRights(allow: PolicyAllow, rights: Rights): (readonly [string, keyof PolicyAllow, string])[] {
  const permissions = (Object.keys(rights.permissions) as (keyof Permissions)[]).filter(
    (name) => rights.permissions[name],
  );
  return [
    ...(allow.network && !allow.network.includes(rights.network.mode)
      ? [['network.mode', 'network', `${rights.network.mode} is not allowed`] as const]
      : []),
    ...(allow.runtimes && !allow.runtimes.includes(rights.runtime)
      ? [['runtime', 'runtimes', `${rights.runtime} is not allowed`] as const]
      : []),
    ...refusedTraffic(allow, rights.network),
    ...permissions
      .filter((name) => allow.permissions && !allow.permissions.includes(name))
      .map((name) => [`permissions.${name}`, 'permissions', 'is not allowed'] as const),
    ...rights.secrets
      .filter((name) => allow.secrets && !allow.secrets.some((pattern) => matchesName(pattern, name)))
      .map((name) => ['secrets', 'secrets', `the secret ${name} is not allowed`] as const),
  ];
}

type Refusal = readonly [key: string, list: keyof PolicyAllow, what: string];

function refusedTraffic(allow: PolicyAllow, network: Network): Refusal[] {
  if (network.mode === 'none') return [];
  const egress = network.egress.filter((rule) => allow.egress && !allow.egress.some(fitsEgress(rule)));
  const ports = network.ports.filter((port) => allow.ports && !allow.ports.some(fitsPort(port)));
  return [
    ...egress.map((rule): Refusal => ['network.egress', 'egress', `${formatEgress(rule)} is not allowed`]),
    ...ports.map((port): Refusal => ['network.ports', 'ports', `${formatPlace(port)} is not allowed`]),
  ];
}

/** What no absent list and no profile allows: private addresses, and ports that others than this machine can reach. */
function needsOperator(policy: Policy, network: Network): (readonly [key: string, what: string])[] {
  if (network.mode === 'none') return [];
  const operator = policy.layers.filter(({ origin }) => origin === 'operator').map(({ allow }) => allow);
  const allows = (list: 'egress' | 'ports', fits: (pattern: string) => boolean): boolean =>
    operator.some((allow) => allow[list]?.some(fits));
  const egress = network.egress.filter(
    (rule) =>
      rule.address !== null &&
      !isPublicAddress(rule.address) &&
      !allows('egress', (pattern) => pattern.includes('=') && fitsEgress(rule)(pattern)),
  );
  const ports = network.ports.filter(
    (port) => port.hostAddress !== '127.0.0.1' && !allows('ports', fitsPort(port)),
  );
  return [
    ...egress.map((rule) => {
      const what = `${rule.address} is a private address, which only allow.egress: ["${formatEgress(rule)}"] of an operator's policy allows`;
      return ['network.egress', what] as const;
    }),
    ...ports.map((port) => {
      const what = `${port.hostAddress} can be reached by others, which only allow.ports: ["${formatPlace(port)}"] of an operator's policy allows`;
      return ['network.ports', what] as const;
    }),
  ];
}

type Declared<Key extends 'ports' | 'egress'> = (Network & { mode: 'isolated' })[Key][number];

const formatPlace = ({ hostAddress, hostPort }: Declared<'ports'>): string => `${hostAddress}:${hostPort}`;
const fitsPort = (port: Declared<'ports'>) => (pattern: string) => matchesName(pattern, formatPlace(port));
/** A pattern without `=` speaks of the name alone. */
const fitsEgress = (rule: Declared<'egress'>) => (pattern: string) =>
  matchesName(pattern, formatEgress(pattern.includes('=') ? rule : { ...rule, address: null }));

function showPlace({ file, line }: SourceLocation): string {
  return line === undefined ? file : `${file}:${line}`;
}

function throwAll(problems: readonly Problem[], next: string): void {
  const [first, ...others] = problems;
  if (!first) return;
  const message =
    others.length === 0
      ? first.message
      : `the policy refuses ${problems.length} things: ${problems.map((problem) => problem.message).join('; ')}`;
  throw new SjsError('POLICY_VIOLATION', message, { problems, next });
}
