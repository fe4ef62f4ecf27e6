import { SjsError } from '../errors.js';
import { canonicalJson } from './canonical-json.js';
import { cleanText } from './clean-text.js';
import { isDigest } from './digest.js';
import { fieldsOf } from './fields.js';
import { LANGUAGES } from './language.js';
import {
  formatEgress,
  formatPort,
  MOST_DECLARED,
  parseEgress,
  parsePort,
  type EgressRule,
  type PublishedPort,
} from './network.js';
import type { SealedPlan } from './run-plan.js';
import { isTimestamp } from './timestamp.js';
import { FORMAT_VERSION, LABELS, type SealedLabels } from './sealed-image.js';
import { isPackageName } from './package-list.js';
import { parseJson } from './parse-json.js';

/** The labels of a sealed image as Docker stores them. */
export function encodeLabels(labels: SealedLabels): Record<string, string> {
  return {
    [LABELS.format]: String(labels.formatVersion),
    [LABELS.name]: labels.name,
    ...(labels.version !== null && { [LABELS.version]: labels.version }),
    [LABELS.baseDigest]: labels.baseDigest,
    ...(labels.baseVersion !== null && { [LABELS.baseVersion]: labels.baseVersion }),
    [LABELS.plan]: canonicalJson(labels.plan),
    ...(labels.packages !== null && { [LABELS.packages]: labels.packages }),
    ...(labels.rebasedFrom !== null && { [LABELS.rebasedFrom]: labels.rebasedFrom }),
  };
}

/**
 * What an image's labels say, every field checked for its type: they may come from anybody.
 * @throws SjsError `SEAL_REFUSED` naming the label.
 */
export function decodeLabels(labels: Readonly<Record<string, string>>): SealedLabels {
  const refuse = (label: string, why: string): SjsError =>
    new SjsError('SEAL_REFUSED', `label ${label} ${why}`, { next: 'build the sandbox with sjs build' });
  const format = labels[LABELS.format];
  if (format !== String(FORMAT_VERSION)) {
    const found = format === undefined ? 'absent' : cleanText(format.slice(0, 40));
    throw refuse(LABELS.format, `is ${found}; this sjs knows format ${FORMAT_VERSION}`);
  }
  const name = labels[LABELS.name];
  if (name === undefined || !/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    throw refuse(LABELS.name, 'is not a name');
  const baseDigest = labels[LABELS.baseDigest];
  if (!isDigest(baseDigest)) throw refuse(LABELS.baseDigest, 'is not a digest');
  for (const label of [LABELS.version, LABELS.baseVersion]) {
    const version = labels[label];
    if (version !== undefined && !/^[\w.+-]{1,128}$/.test(version)) throw refuse(label, 'is not a version');
  }
  const packages = labels[LABELS.packages] ?? null;
  if (packages !== null && !isDigest(packages)) throw refuse(LABELS.packages, 'is not a digest');
  const rebasedFrom = labels[LABELS.rebasedFrom] ?? null;
  if (rebasedFrom !== null && !isDigest(rebasedFrom)) throw refuse(LABELS.rebasedFrom, 'is not a digest');
  const plan = parsePlan(labels[LABELS.plan] ?? '');
  if (plan === undefined) throw refuse(LABELS.plan, 'is not a run plan that this sjs understands');
  return {
    formatVersion: FORMAT_VERSION,
    name,
    version: labels[LABELS.version] ?? null,
    baseDigest,
    baseVersion: labels[LABELS.baseVersion] ?? null,
    plan,
    packages,
    rebasedFrom,
  };
}

type Shape = { readonly [key: string]: Shape } | ((value: unknown) => boolean);

const positive = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
const positiveOrNull = (value: unknown): boolean => value === null || positive(value);
const flag = (value: unknown): boolean => typeof value === 'boolean';

/** A list of what `parse` would make: the written form is what was checked, and what is compared with the policy. */
const declared =
  <T>(shape: Shape, format: (item: T) => string, parse: (text: string) => T | undefined) =>
  (value: unknown): boolean =>
    Array.isArray(value) &&
    value.length <= MOST_DECLARED &&
    value.every(
      (item) =>
        matches(shape, item) && canonicalJson(parse(format(item as T)) ?? null) === canonicalJson(item),
    );
const text = (value: unknown): boolean => typeof value === 'string';
const count = (value: unknown): boolean => Number.isSafeInteger(value);
const NO_NETWORK: Shape = { mode: (value) => value === 'none' };
const ISOLATED: Shape = {
  mode: (value) => value === 'isolated',
  ports: declared<PublishedPort>(
    { hostAddress: text, hostPort: count, containerPort: count },
    formatPort,
    parsePort,
  ),
  egress: declared<EgressRule>(
    { name: text, port: count, address: (value) => value === null || text(value) },
    formatEgress,
    parseEgress,
  ),
};

const DETERMINISM: Shape = {
  clock: (value) => value === null || isTimestamp(value),
  seed: (value) => value === null || (Number.isSafeInteger(value) && (value as number) >= 0),
};

/** One way to write each list. A name that this sjs does not know is a builtin of a Node that came later. */
const sortedNames =
  (isName: (name: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every((name, at) => isName(name) && (at === 0 || value[at - 1] < name));
const MODULES: Shape = {
  builtins: sortedNames((name) => typeof name === 'string' && /^[a-z0-9_]+(?:\/[a-z0-9_]+)?$/.test(name)),
  packages: sortedNames(isPackageName),
};

/** The plan's exact shape: a missing field would be a missing limit, an unknown one a right nobody checks. */
const PLAN: Shape = {
  secrets: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  permissions: { childProcess: flag, worker: flag, addons: flag, wasi: flag },
  resources: {
    milliCpu: positive,
    memoryBytes: positive,
    pids: positive,
    files: positive,
    timeoutMs: positive,
    outputBytes: positive,
  },
  filesystem: { tmpBytes: positive, tmpInodes: positive, outBytes: positiveOrNull, outInodes: positive },
  network: (value) => matches(NO_NETWORK, value) || matches(ISOLATED, value),
  runtime: (value) => value === 'runc',
  seccompDigest: isDigest,
};

/** What a plan has only where it is declared. */
const OPTIONAL: Readonly<Record<string, Shape>> = {
  determinism: DETERMINISM,
  modules: MODULES,
  call: (value) => value === 1,
  code: (value) => value === 1,
  language: (value) => value !== 'node' && (LANGUAGES as readonly unknown[]).includes(value),
};

function parsePlan(text: string): SealedPlan | undefined {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return undefined;
  }
  const given = Object.entries(OPTIONAL).filter(([key]) => Object.hasOwn(fieldsOf(value), key));
  return matches({ ...PLAN, ...Object.fromEntries(given) }, value) ? (value as SealedPlan) : undefined;
}

function matches(shape: Shape, value: unknown): boolean {
  if (typeof shape === 'function') return shape(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(shape);
  return (
    Object.keys(value).length === keys.length &&
    keys.every(
      (key) =>
        Object.hasOwn(value, key) && matches(shape[key] as Shape, (value as Record<string, unknown>)[key]),
    )
  );
}
