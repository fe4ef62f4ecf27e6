import type { Problem, SourceLocation } from '../../errors.js';
import { LANGUAGE_NAMES, STATEABLE, type Language } from '../../model/language.js';
import { formatEgress, isPublicAddress, type Network } from '../../model/network.js';
import type { Policy, PolicyAllow, PolicyLayer, PolicyLimits } from '../../model/policy.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { matchesName } from '../../model/repository-pattern.js';
import { showPlace } from '../../model/show-place.js';
import type { Permissions, Resources } from '../../model/sandbox.js';
import type { Subject, UsedWaiver } from '../../model/waiver.js';
import { eachOnce, findWaiver } from './find-waiver.js';

/** What a policy judges, of a sandbox.yaml as of a sealed image. */
export interface Rights {
  readonly resources: Resources;
  readonly tmpBytes: number;
  readonly outBytes: number | null;
  readonly network: Network;
  readonly runtime: 'runc';
  readonly secrets: readonly string[];
  readonly permissions: Permissions;
  /** Absent for Node. */
  readonly language?: Language;
}

/** One thing that a policy refuses, under its own code. */
export interface Violation {
  readonly code: 'POLICY_VIOLATION' | 'BASE_UNTRUSTED' | 'BASE_DENIED';
  readonly problem: Problem;
}

/** What a policy says of something: all that it refuses, and what it would have but for a waiver. */
export interface Verdict {
  readonly violations: readonly Violation[];
  readonly waived: readonly UsedWaiver[];
}

/** What a refused right is called, and where it was asked for. */
export type Locate = (key: string) => {
  readonly name: string;
  readonly location?: SourceLocation;
  readonly snippet?: string;
};

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

/** A right that one layer refuses: where it was asked for, the rule of the policy, and in words. */
type Refusal = readonly [key: string, rule: string, what: string];

/** Judges rights by every layer; whatever is refused names both places. */
export function judgeRights(policy: Policy, rights: Rights, locate: Locate, subject: Subject): Verdict {
  const file = operatorFile(policy);
  const violations: Violation[] = [];
  const waived: UsedWaiver[] = [];
  for (const layer of policy.layers) {
    for (const [key, rule, what] of [...overLimits(layer, rights), ...notAllowed(layer.allow, rights)]) {
      const waiver = findWaiver(policy, layer, rule, subject);
      if (waiver) waived.push(waiver);
      else violations.push(refuse(locate(key), what, layer.locate(rule), nextOf(layer, rule, file, rights)));
    }
  }
  for (const { key, what, entry } of needsOperator(policy, rights.network))
    violations.push(refuse(locate(key), what, undefined, `to allow it, add ${entry} of ${file}`));
  return { violations, waived: eachOnce(waived) };
}

/** A violation that names both places: where it was asked for, and the line of the policy. */
export function refuse(
  { name, ...place }: ReturnType<Locate>,
  what: string,
  policy: SourceLocation | undefined,
  next?: string,
  code: Violation['code'] = 'POLICY_VIOLATION',
): Violation {
  const message = `${name}: ${what}${policy === undefined ? '' : ` (${showPlace(policy)})`}`;
  return {
    code,
    problem: {
      message,
      ...place,
      ...(policy !== undefined && { policy }),
      ...(next !== undefined && { next }),
    },
  };
}

const operatorFile = (policy: Policy): string =>
  policy.layers.findLast(({ origin }) => origin === 'operator')?.file ??
  'your policy (~/.config/sjs/policy.yaml)';

/** What could be written into the operator's policy, where another profile allows more. */
function nextOf(layer: PolicyLayer, rule: string, file: string, { language }: Rights): string | undefined {
  if (layer.origin !== 'profile') return undefined;
  if (rule === 'allow.network') return `to allow what is declared, write extends: networked into ${file}`;
  if (rule.startsWith('limits.')) {
    const isWidest = layer.file.endsWith('browser.yaml');
    return isWidest
      ? undefined
      : `the widest limits are those of the profile for headless browsers: to take them, write extends: browser into ${file}`;
  }
  return rule === 'allow.permissions' && language !== undefined && language !== 'node'
    ? `to allow it, write extends: networked into ${file}, or waive allow.permissions there for this sandbox`
    : undefined;
}

function overLimits(layer: PolicyLayer, rights: Rights): Refusal[] {
  const asked = { ...rights.resources, tmpBytes: rights.tmpBytes, outBytes: rights.outBytes ?? 0 };
  return (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).flatMap((limit): Refusal[] => {
    const bound = layer.limits[limit];
    const { key, policyKey, show } = LIMITS[limit];
    if (bound === undefined || asked[limit] <= bound) return [];
    const what = `${show(asked[limit])} is more than the ${show(bound)} that the policy allows`;
    return [[key, `limits.${policyKey}`, what]];
  });
}

function notAllowed(allow: PolicyAllow, rights: Rights): Refusal[] {
  const permissions = (Object.keys(rights.permissions) as (keyof Permissions)[]).filter(
    (name) => rights.permissions[name],
  );
  const runtimes: Refusal[] =
    allow.runtimes && !allow.runtimes.includes(rights.runtime)
      ? [['runtime', 'allow.runtimes', `${rights.runtime} is not allowed`]]
      : [];
  return [
    ...runtimes,
    ...networkNotAllowed(allow, rights.network),
    ...permissions
      .filter((name) => allow.permissions && !allow.permissions.includes(name))
      .map((name): Refusal => [`permissions.${name}`, 'allow.permissions', whyNot(name, rights)]),
    ...rights.secrets.flatMap((name, at): Refusal[] =>
      allow.secrets && !allow.secrets.some((pattern) => matchesName(pattern, name))
        ? [[`secrets.${at}`, 'allow.secrets', `the secret ${name} is not allowed`]]
        : [],
    ),
  ];
}

/** Nobody asked for what a runtime grants unasked. */
const whyNot = (name: keyof Permissions, { language = 'node' }: Rights): string =>
  STATEABLE[language].includes(name)
    ? 'is not allowed'
    : `is not allowed, and ${LANGUAGE_NAMES[language]} cannot withhold it from a program`;

/** Every part for itself: a waiver of the mode alone allows no traffic. */
function networkNotAllowed(allow: PolicyAllow, network: Network): Refusal[] {
  const mode: Refusal[] =
    allow.network && !allow.network.includes(network.mode)
      ? [['network.mode', 'allow.network', `${network.mode} is not allowed`]]
      : [];
  if (network.mode === 'none') return mode;
  const egress = network.egress.flatMap((rule, at): Refusal[] =>
    allow.egress && !allow.egress.some(fitsEgress(rule))
      ? [[`network.egress.${at}`, 'allow.egress', `${formatEgress(rule)} is not allowed`]]
      : [],
  );
  const ports = network.ports.flatMap((port, at): Refusal[] =>
    allow.ports && !allow.ports.some(fitsPort(port))
      ? [[`network.ports.${at}`, 'allow.ports', `${formatPlace(port)} is not allowed`]]
      : [],
  );
  return [...mode, ...egress, ...ports];
}

/** What no absent list, no profile and no waiver allows: private addresses, and ports that others than this machine can reach. */
function needsOperator(
  policy: Policy,
  network: Network,
): { readonly key: string; readonly what: string; readonly entry: string }[] {
  if (network.mode === 'none') return [];
  const operator = policy.layers.filter(({ origin }) => origin === 'operator').map(({ allow }) => allow);
  const egress = network.egress.flatMap((rule, at) =>
    rule.address !== null && !isPublicAddress(rule.address) && !isPinnedByOperator(policy, rule)
      ? [
          {
            key: `network.egress.${at}`,
            what: `${rule.address} is a private address, which only an operator's policy can allow`,
            entry: `"${formatEgress(rule)}" to allow.egress (with no such list there: ["*", "${formatEgress(rule)}"])`,
          },
        ]
      : [],
  );
  const ports = network.ports.flatMap((port, at) =>
    port.hostAddress !== '127.0.0.1' && !operator.some((allow) => allow.ports?.some(fitsPort(port)))
      ? [
          {
            key: `network.ports.${at}`,
            what: `${port.hostAddress} can be reached by others, which only an operator's policy can allow`,
            entry: `"${formatPlace(port)}" to allow.ports (with no such list there: ["127.0.0.1:*", "${formatPlace(port)}"])`,
          },
        ]
      : [],
  );
  return [...egress, ...ports];
}

/** Whether an operator's own pattern of `name:port=address` allows it. */
export const isPinnedByOperator = (policy: Policy, rule: Declared<'egress'>): boolean =>
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
