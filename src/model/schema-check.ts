import type { ErrorObject, ValidateFunction } from 'ajv';
import type { ErrorCode, Problem } from '../errors.js';
import { formatBytes, formatCpu, formatDuration, parseBytes, parseCpu, parseDuration } from './quantity.js';
import { escapeUnprintable } from './sandbox.js';
import type { YamlDocument } from './yaml-document.js';

/** A problem with its own code. */
export interface SchemaProblem {
  readonly code: ErrorCode;
  readonly problem: Problem;
}

/** Takes one problem of a value: its dotted path, what is wrong, what to do. */
export type Report = (path: string, message: string, next?: string, code?: ErrorCode) => void;

/** What our own keyword `quantity` takes: the kind, and the bounds in its unit. */
export interface QuantityRule {
  readonly kind: 'bytes' | 'cpu' | 'duration' | 'count';
  readonly minimum: number;
  readonly maximum: number;
}

const KINDS = {
  bytes: { parse: parseBytes, format: formatBytes, example: 'a quantity such as 64Mi or 1Gi' },
  cpu: { parse: parseCpu, format: formatCpu, example: 'a number of CPUs such as 1, 1.5 or 500m' },
  duration: { parse: parseDuration, format: formatDuration, example: 'a duration such as 500ms, 30s or 2m' },
  count: {
    parse: (value: unknown) => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
    format: String,
    example: 'a whole number',
  },
};

/** Names of our keywords; they are left out of the published schemas. */
export const OWN_KEYWORDS = ['quantity', 'notYet', 'notYetValues'] as const;

const compiled = new WeakMap<object, ValidateFunction>();

/**
 * Checks a document against a schema and returns all problems, each naming the place, what was found, what is allowed
 * and the key that was probably meant.
 */
export async function checkSchema(
  document: YamlDocument,
  schema: object,
  name: string,
): Promise<readonly SchemaProblem[]> {
  const validate = compiled.get(schema) ?? (await compile(schema));
  compiled.set(schema, validate);
  if (validate(document.value)) return [];
  const problems = (validate.errors ?? []).map((error) => describe(error, document, name));
  // One place is reported once: "not yet" says most, else the first keyword that failed there.
  const byPlace = new Map<string | undefined, SchemaProblem>();
  for (const found of problems) {
    const path = found.problem.location?.path;
    if (!byPlace.has(path) || found.code === 'NOT_YET') byPlace.set(path, found);
  }
  return [...byPlace.values()];
}

async function compile(schema: object): Promise<ValidateFunction> {
  const { Ajv } = (await import('ajv')).default;
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
  ajv.addKeyword({ keyword: 'notYet', schemaType: 'string', validate: () => false, errors: false });
  ajv.addKeyword({
    keyword: 'notYetValues',
    schemaType: 'array',
    validate: (values: unknown[], data: unknown) => !values.includes(data),
    errors: false,
  });
  ajv.addKeyword({
    keyword: 'quantity',
    schemaType: 'object',
    validate: ({ kind, minimum, maximum }: QuantityRule, data: unknown) => {
      const value = KINDS[kind].parse(data);
      return value !== undefined && value >= minimum && value <= maximum;
    },
    errors: false,
  });
  return ajv.compile(schema);
}

/** The number in a value that passed the `quantity` keyword, in its unit. */
export function readQuantity(kind: QuantityRule['kind'], value: unknown): number {
  return KINDS[kind].parse(value) ?? NaN;
}

function describe(error: ErrorObject, document: YamlDocument, name: string): SchemaProblem {
  const parent = error.instancePath
    .slice(1)
    .split('/')
    .filter(Boolean)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  const params = error.params as { additionalProperty?: string; missingProperty?: string };
  const own = params.additionalProperty === undefined ? parent : [...parent, params.additionalProperty];
  const path = own.join('.');
  const shown = escapeUnprintable(path.length > 200 ? `${path.slice(0, 200)}…` : path);
  const { code, message, next } = explain(error, shown, name);
  return {
    code,
    problem: {
      message,
      location: { file: document.file, ...document.locate(path), path: shown },
      snippet: document.excerpt(path),
      ...(next !== undefined && { next }),
    },
  };
}

function explain(
  error: ErrorObject,
  path: string,
  name: string,
): { code: ErrorCode; message: string; next?: string } {
  const invalid: ErrorCode = name === 'policy' ? 'POLICY_INVALID' : 'SANDBOX_INVALID';
  const found = show(error.data);
  const at = path === '' ? 'the file' : path;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = (error.params as { additionalProperty: string }).additionalProperty;
      const known = Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {});
      const meant = nearest(key, known);
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
    case 'pattern':
      return {
        code: invalid,
        message: `${path}: found ${found}, expected ${String((error.parentSchema as { title?: string }).title ?? `text like ${String(error.schema)}`)}`,
      };
    case 'uniqueItems':
      return { code: invalid, message: `${path}: something is listed twice` };
    default:
      return { code: invalid, message: `${at}: found ${found}; it ${error.message ?? 'is not allowed'}` };
  }
}

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
  const text = JSON.stringify(value.slice(0, 60));
  return escapeUnprintable(text) + (value.length > 60 ? '…' : '');
}

/** The known word nearest to what was written, if it is near enough to have been meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const ranked = known
    .map((one) => [distance(word.toLowerCase(), one.toLowerCase()), one] as const)
    .sort(([a], [b]) => a - b);
  const best = ranked[0];
  return best && best[0] <= Math.max(1, Math.floor(word.length / 3)) ? best[1] : undefined;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
