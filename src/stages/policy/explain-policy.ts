import { basename } from 'node:path';
import { OTHER_BASES } from '../../model/base-name.js';
import type { Policy, SignerRule } from '../../model/policy.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { DEFAULT_RESOURCES, type BaseRequest } from '../../model/sandbox.js';
import { matchesName } from '../../model/repository-pattern.js';
import { showPlace } from '../../model/show-place.js';
import { describeScope, waiverState, type Waiver } from '../../model/waiver.js';
import { defaultBaseKey, effectiveRetention } from './effective-policy.js';

/** One value in force, as it would be written, and `file:line` of every layer that has a say in it. */
export interface ExplainedValue {
  /** Dotted path in a policy: `limits.memory`. */
  readonly key: string;
  readonly value: string | readonly string[];
  readonly from: readonly string[];
}

/** The policy in force. */
export interface PolicyExplanation {
  readonly digest: string;
  readonly layers: readonly { readonly file: string; readonly origin: string }[];
  readonly values: readonly ExplainedValue[];
}

const RESOURCES = [
  ['milliCpu', 'cpu', formatCpu],
  ['memoryBytes', 'memory', formatBytes],
  ['pids', 'pids', String],
  ['files', 'files', String],
  ['timeoutMs', 'timeout', formatDuration],
  ['outputBytes', 'output', formatBytes],
] as const;

const LIMITS = [
  ...RESOURCES,
  ['tmpBytes', 'tmp', formatBytes],
  ['outBytes', 'out', formatBytes],
  ['sourceBytes', 'source', formatBytes],
] as const;

/**
 * Every value that any layer states, as it holds after all layers, with where it comes from.
 * @param now milliseconds since the epoch: waivers end
 */
export function explainPolicy(policy: Policy, now: number): PolicyExplanation {
  const { layers } = policy;
  /** The layers that state something, each with its value and its place. */
  const stated = <T>(path: string, get: (layer: (typeof layers)[number]) => T | undefined) =>
    layers.flatMap((layer) => {
      const value = get(layer);
      if (value === undefined) return [];
      return [{ value, from: showPlace(layer.locate(path)) }];
    });
  const row = (key: string, value: string | readonly string[], from: readonly string[]): ExplainedValue[] => [
    { key, value, from },
  ];

  const limits = LIMITS.flatMap(([field, key, show]) => {
    const found = stated(`limits.${key}`, (layer) => layer.limits[field]);
    const smallest = Math.min(...found.map(({ value }) => value));
    return found.length === 0
      ? []
      : row(
          `limits.${key}`,
          show(smallest),
          found.filter(({ value }) => value === smallest).map(({ from }) => from),
        );
  });
  const allow = (
    ['network', 'egress', 'ports', 'runtimes', 'permissions', 'secrets', 'templates'] as const
  ).flatMap((key) => {
    const found = stated(`allow.${key}`, (layer) => layer.allow[key] as readonly string[] | undefined);
    const common = found.slice(1).reduce((kept, { value }) => intersect(kept, value), found[0]?.value ?? []);
    return found.length === 0
      ? []
      : row(
          `allow.${key}`,
          common,
          found.map(({ from }) => from),
        );
  });
  const extended = stated('extends', (layer) => layer.extends ?? undefined);
  const profile = layers.find(({ origin }) => origin === 'profile');
  const defaults = RESOURCES.flatMap(([field, key, show]) => {
    const last = stated(`defaults.resources.${key}`, (layer) => layer.defaults.resources?.[field]).at(-1);
    return row(
      `defaults.resources.${key}`,
      show(last?.value ?? DEFAULT_RESOURCES[field]),
      last ? [last.from] : [],
    );
  });
  const base = stated('defaults.base', (layer) => layer.defaults.base).at(-1);
  const defaultBases = OTHER_BASES.flatMap((name) => {
    const key = defaultBaseKey(name);
    const last = stated(key, (layer) => layer.defaults.bases?.[name]).at(-1);
    return last ? row(key, describeBase(last.value), [last.from]) : [];
  });
  const gateway = stated('defaults.gateway', (layer) => layer.defaults.gateway).at(-1);
  const repository = stated('defaults.repository', (layer) => layer.defaults.repository).at(-1);
  const bases = layers.flatMap((layer) =>
    (layer.bases ?? []).flatMap((rule) =>
      row(
        'bases',
        [describeRule(rule), ...(rule.allowSetuidFiles ? ['setuid files allowed'] : [])].join('; '),
        [showPlace(rule.location)],
      ),
    ),
  );
  const signers = layers.flatMap(({ sealed }) =>
    (sealed.signers ?? []).flatMap((rule) =>
      row('sealed.signers', describeRule(rule), [showPlace(rule.location)]),
    ),
  );
  const attestations = stated('sealed.attestations', ({ sealed }) =>
    sealed.attestations.length > 0 ? sealed.attestations : undefined,
  );
  const required = stated('sealed.requireSigned', ({ sealed }) => sealed.requireSigned || undefined);
  const waivers = layers.flatMap((layer) =>
    layer.waivers.flatMap((waiver) =>
      row('waivers', describeWaiver(waiver, now), [showPlace(waiver.location)]),
    ),
  );
  const denied = stated('deny.digests', (layer) =>
    layer.deniedDigests.length > 0 ? layer.deniedDigests : undefined,
  );
  const floors = (['engine', 'runc', 'cosign'] as const).flatMap((key) =>
    stated(`floors.${key}`, (layer) => layer.floors[key]).flatMap(({ value, from }) =>
      row(`floors.${key}`, value, [from]),
    ),
  );
  const ages = stated('retention.age', (layer) => layer.retention.ageMs);
  const sizes = stated('retention.size', (layer) => layer.retention.bytes);
  const retention = effectiveRetention(policy);
  return {
    digest: policy.digest,
    layers: layers.map(({ file, origin }) => ({ file, origin })),
    values: [
      ...(profile
        ? row(
            'extends',
            basename(profile.file, '.yaml'),
            extended.map(({ from }) => from),
          )
        : []),
      ...(base ? row('defaults.base', describeBase(base.value), [base.from]) : []),
      ...defaultBases,
      ...(gateway ? row('defaults.gateway', describeBase(gateway.value), [gateway.from]) : []),
      ...(repository ? row('defaults.repository', repository.value, [repository.from]) : []),
      ...defaults,
      ...bases,
      ...signers,
      ...(attestations.length > 0
        ? row(
            'sealed.attestations',
            [...new Set(attestations.flatMap(({ value }) => value))],
            attestations.map(({ from }) => from),
          )
        : []),
      ...(required.length > 0
        ? row(
            'sealed.requireSigned',
            'true',
            required.map(({ from }) => from),
          )
        : []),
      ...denied.flatMap(({ value, from }) => row('deny.digests', value, [from])),
      ...limits,
      ...allow,
      ...floors,
      ...row(
        'retention.age',
        formatDuration(retention.ageMs),
        ages.map(({ from }) => from),
      ),
      ...row(
        'retention.size',
        formatBytes(retention.bytes),
        sizes.map(({ from }) => from),
      ),
      ...waivers,
    ],
  };
}

const describeBase = (base: BaseRequest): string =>
  `${base.image} ${'version' in base ? base.version : base.digest}`;

function describeRule({
  repository,
  mirrors,
  keys,
  keyless,
  trustedRoot,
  annotations,
  attestations,
  transparencyLog,
}: SignerRule): string {
  return [
    [repository, ...mirrors].join(' or '),
    describeSigners(keys, keyless),
    ...(trustedRoot === null ? [] : ['own trusted root']),
    `transparency log ${transparencyLog}`,
    ...Object.entries(annotations).map(([name, value]) => `${name}=${value}`),
    ...(attestations.length > 0 ? [`attested: ${attestations.join(', ')}`] : []),
  ].join('; ');
}

const STATES = {
  valid: '',
  'ends soon': ' (ends soon)',
  expired: ' (expired: it counts no longer)',
} as const;

const describeWaiver = (waiver: Waiver, now: number): string =>
  `${waiver.sandbox} ${describeScope(waiver.scope)} may break ${waiver.rule} until ${waiver.until}${STATES[waiverState(waiver, now)]}: ${waiver.reason}`;

function describeSigners(keys: SignerRule['keys'], keyless: SignerRule['keyless']): string {
  if (!keyless) return keys.length === 1 ? '1 key' : `${keys.length} keys`;
  const authorities = keyless.caRoots === null ? '' : ' by own authorities';
  return `${keyless.identity ?? keyless.identityPattern} of ${keyless.issuer}${authorities}`;
}

/**
 * What both lists allow, as patterns: of two that overlap the narrower one; where neither is, both together (`A* & *B`),
 * since no single pattern says it.
 */
function intersect(left: readonly string[], right: readonly string[]): readonly string[] {
  const covers = (wide: string, narrow: string): boolean =>
    wide.split(' & ').every((pattern) => narrow.split(' & ').some((part) => matchesName(pattern, part)));
  const pairs = left.flatMap((one) =>
    right.flatMap((other) => {
      if (covers(other, one)) return [one];
      if (covers(one, other)) return [other];
      return one.includes('*') && other.includes('*') ? [`${one} & ${other}`] : [];
    }),
  );
  return [...new Set(pairs)];
}
