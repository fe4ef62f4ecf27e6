import type { Policy } from '../../model/policy.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { effectiveRetention } from './effective-policy.js';

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

const LIMITS = [
  ['milliCpu', 'cpu', formatCpu],
  ['memoryBytes', 'memory', formatBytes],
  ['pids', 'pids', String],
  ['files', 'files', String],
  ['timeoutMs', 'timeout', formatDuration],
  ['outputBytes', 'output', formatBytes],
  ['tmpBytes', 'tmp', formatBytes],
  ['outBytes', 'out', formatBytes],
  ['sourceBytes', 'source', formatBytes],
] as const;

/** Every value that any layer states, as it holds after all layers, with where it comes from. */
export function explainPolicy(policy: Policy): PolicyExplanation {
  const { layers } = policy;
  /** The layers that state something, each with its value and its place. */
  const stated = <T>(path: string, get: (layer: (typeof layers)[number]) => T | undefined) =>
    layers.flatMap((layer) => {
      const value = get(layer);
      if (value === undefined) return [];
      const { file, line } = layer.locate(path);
      return [{ value, from: line === undefined ? file : `${file}:${line}` }];
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
  const allow = (['network', 'runtimes', 'permissions', 'secrets'] as const).flatMap((key) => {
    const found = stated(`allow.${key}`, (layer) => layer.allow[key] as readonly string[] | undefined);
    const common = found.reduce<readonly string[]>(
      (kept, { value }, at) => (at === 0 ? value : kept.filter((one) => value.includes(one))),
      [],
    );
    return found.length === 0
      ? []
      : row(
          `allow.${key}`,
          common,
          found.map(({ from }) => from),
        );
  });
  const base = stated('defaults.base', (layer) => layer.defaults.base).at(-1);
  const bases = layers.flatMap((layer) =>
    (layer.bases ?? []).flatMap((rule) =>
      row('bases', rule.repository, [
        `${rule.location.file}${rule.location.line === undefined ? '' : `:${rule.location.line}`}`,
      ]),
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
      ...(base
        ? row(
            'defaults.base',
            `${base.value.image} ${'version' in base.value ? base.value.version : base.value.digest}`,
            [base.from],
          )
        : []),
      ...bases,
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
    ],
  };
}
