import type { ErrorObject } from 'ajv';
import type { ErrorCode } from '../errors.js';
import { nearest } from './nearest.js';
import { formatBytes, formatCpu, formatDuration, parseBytes, parseCpu, parseDuration } from './quantity.js';
import { escapeUnprintable } from './sandbox.js';

/** What our own keyword `quantity` takes: the kind, and the bounds in its unit. */
export interface QuantityRule {
  readonly kind: 'bytes' | 'cpu' | 'duration' | 'count';
  readonly minimum: number;
  readonly maximum: number;
}

/** How each kind is read and written. */
export const KINDS = {
  bytes: { parse: parseBytes, format: formatBytes, example: 'a quantity such as 64Mi or 1Gi' },
  cpu: { parse: parseCpu, format: formatCpu, example: 'a number of CPUs such as 1, 1.5 or 500m' },
  duration: { parse: parseDuration, format: formatDuration, example: 'a duration such as 500ms, 30s or 2m' },
  count: {
    parse: (value: unknown) => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
    format: String,
    example: 'a whole number',
  },
};

/** One error of the validator in words: what was found, what is allowed, what to do. */
export function explain(
  error: ErrorObject,
  path: string,
  invalid: ErrorCode,
): { code: ErrorCode; message: string; next?: string } {
  if (error.propertyName !== undefined)
    return { code: invalid, message: `${path}: the name is not allowed`, next: NAMES };
  const found = show(error.data);
  const at = path === '' ? 'the file' : path;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = (error.params as { additionalProperty: string }).additionalProperty;
      const properties = (error.parentSchema?.['properties'] ?? {}) as Record<string, { notYet?: string }>;
      const known = Object.keys(properties).filter((one) => properties[one]?.notYet === undefined);
      const meant = nearest(key, Object.keys(properties));
      return {
        code: invalid,
        message: `${path}: there is no such key`,
        next: meant ? `did you mean ${meant}?` : `allowed here: ${known.join(', ')}, and x-*`,
      };
    }
    case 'required':
      return {
        code: invalid,
        message: `${at}: ${(error.params as { missingProperty: string }).missingProperty} is missing`,
      };
    case 'notYet':
      return {
        code: 'NOT_YET',
        message: `${path} is not possible yet: ${String(error.schema)}`,
        next: 'remove it',
      };
    case 'notYetValues':
      return { code: 'NOT_YET', message: `${path}: ${found} is not possible yet`, next: 'use the default' };
    case 'quantity': {
      const { kind, minimum, maximum } = error.schema as QuantityRule;
      const { parse, format, example } = KINDS[kind];
      return parse(error.data) === undefined
        ? { code: invalid, message: `${path}: found ${found}, expected ${example}` }
        : {
            code: invalid,
            message: `${path}: ${found} is out of range`,
            next: `between ${format(minimum)} and ${format(maximum)}`,
          };
    }
    case 'type':
      return {
        code: invalid,
        message: `${at}: found ${found}, expected ${TYPES[String(error.schema)] ?? String(error.schema)}`,
      };
    case 'enum':
    case 'const': {
      const allowed = error.keyword === 'const' ? [error.schema] : (error.schema as unknown[]);
      return {
        code: invalid,
        message: `${path}: found ${found}`,
        next: `allowed: ${allowed.map(String).join(', ')}`,
      };
    }
    case 'pattern': {
      const { title } = error.parentSchema as { title?: string };
      return {
        code: invalid,
        message: `${path}: found ${found}, expected ${title ?? `text like ${String(error.schema)}`}`,
      };
    }
    case 'minItems':
    case 'minLength':
      return { code: invalid, message: `${path}: at least ${String(error.schema)} is needed` };
    case 'maxItems':
    case 'maxProperties':
      return {
        code: invalid,
        message: `${path}: has more than ${String(error.schema)} entries`,
        next: `keep at most ${String(error.schema)}`,
      };
    case 'maxLength':
      return {
        code: invalid,
        message: `${path}: is longer than ${String(error.schema)} characters`,
        next: 'put long text into a file of the source',
      };
    case 'uniqueItems':
      return { code: invalid, message: `${path}: something is listed twice` };
    default:
      return { code: invalid, message: `${at}: found ${found}; it ${error.message ?? 'is not allowed'}` };
  }
}

const NAMES = 'letters, digits and _ , not beginning with a digit, at most 128 characters';

const TYPES: Record<string, string> = {
  object: 'a mapping (key: value)',
  array: 'a list',
  string: 'text; quote numbers and true or false',
  boolean: 'true or false',
  integer: 'a whole number',
};

/** A value in few words, safe to print. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value !== 'string')
    return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a value';
  // A key pasted into the wrong place is named, never shown.
  const isKey = value.startsWith('-----BEGIN ');
  const text = isKey
    ? (/^-----BEGIN [A-Z ]{1,40}-----/.exec(value)?.[0] ?? '-----BEGIN ')
    : value.slice(0, 60);
  return escapeUnprintable(JSON.stringify(text)) + (value.length > text.length ? '…' : '');
}
