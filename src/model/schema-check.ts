import type { ErrorObject, ValidateFunction } from 'ajv';
import { SjsError, type ErrorCode, type Problem } from '../errors.js';
import { formatBytes, formatCpu, formatDuration, parseBytes, parseCpu, parseDuration } from './quantity.js';
import { escapeUnprintable } from './sandbox.js';
import type { YamlDocument } from './yaml-document.js';

/** A problem with its own code. */
export interface SchemaProblem {
  readonly code: ErrorCode;
  readonly problem: Problem;
}

/** What a check against a schema found. */
export interface SchemaFindings {
  /** Empty when the document fits; at most {@link MAX_PROBLEMS} and a last one that says how many more there are. */
  readonly problems: readonly SchemaProblem[];
  /** Whether something at the path, or below it, does not fit. */
  hasFault(...path: string[]): boolean;
  /** The document's value without what does not fit: what is left can be judged further. */
  readonly sound: unknown;
}

/** Nobody reads more, and a hostile file can have a hundred thousand. */
const MAX_PROBLEMS = 64;

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
 * and the key that was probably meant. A document that may not be quoted has one problem, and no word of it is in that.
 */
export async function checkSchema(
  document: YamlDocument,
  schema: object,
  name: 'sandbox' | 'policy',
): Promise<SchemaFindings> {
  const validate = compiled.get(schema) ?? (await compile(schema));
  compiled.set(schema, validate);
  if (validate(document.value)) return { problems: [], hasFault: () => false, sound: document.value };
  // One place is reported once: "not yet" says most, else the first keyword that failed there. Each missing key counts.
  const byPlace = new Map<string, ErrorObject>();
  for (const error of validate.errors ?? []) {
    // The name itself was reported.
    if (error.keyword === 'propertyNames') continue;
    const { missingProperty = '' } = error.params as { missingProperty?: string };
    const place = JSON.stringify([...pathOf(error), missingProperty]);
    if (!byPlace.has(place) || error.keyword.startsWith('notYet')) byPlace.set(place, error);
    if (byPlace.size > MAX_ERRORS) break;
  }
  const errors = [...byPlace.values()];
  const faults = errors.filter(({ keyword }) => keyword !== 'required').map(pathOf);
  return {
    problems: document.mayQuote ? describeAll(errors, document, name) : [describeForeign(document, name)],
    hasFault: (...path) => faults.some((fault) => path.every((part, at) => fault[at] === part)),
    sound: withoutFaults(document.value, faults),
  };
}

/** Further errors are not even looked at. */
const MAX_ERRORS = 1000;

function describeAll(
  errors: readonly ErrorObject[],
  document: YamlDocument,
  name: 'sandbox' | 'policy',
): SchemaProblem[] {
  const shown = errors.slice(0, MAX_PROBLEMS).map((error) => describe(error, document, name));
  const more = errors.length - shown.length;
  if (more === 0) return shown;
  const count = errors.length > MAX_ERRORS ? `more than ${MAX_ERRORS - MAX_PROBLEMS}` : String(more);
  const location = { file: document.file };
  return [...shown, { code: INVALID[name], problem: { message: `and ${count} further problems`, location } }];
}

function describeForeign(document: YamlDocument, name: 'sandbox' | 'policy'): SchemaProblem {
  const kind = name === 'policy' ? 'Policy' : 'Sandbox';
  return {
    code: INVALID[name],
    problem: {
      message: `${document.file} is no ${name === 'policy' ? 'policy' : 'sandbox.yaml'}: it does not say apiVersion: sjs/v1`,
      location: { file: document.file, line: 1, column: 1, path: '' },
      next: `name another file, or begin it with apiVersion: sjs/v1 and kind: ${kind}`,
    },
  };
}

/** The parts of the path at which an error is: of the key itself for one that is not allowed or has a bad name. */
function pathOf(error: ErrorObject): string[] {
  const parent = error.instancePath
    .slice(1)
    .split('/')
    .filter(Boolean)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
  const { additionalProperty } = error.params as { additionalProperty?: string };
  const key = additionalProperty ?? error.propertyName;
  return key === undefined ? parent : [...parent, key];
}

/** A copy without the faults. A list that has one goes as a whole, since its items are known by their place. */
function withoutFaults(value: unknown, faults: readonly (readonly string[])[]): unknown {
  if (faults.some((path) => path.length === 0)) return undefined;
  const copy = structuredClone(value);
  for (const path of faults) {
    let parent: unknown = copy;
    for (const [at, part] of path.entries()) {
      if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, part)) break;
      const child = (parent as Record<string, unknown>)[part];
      if (Array.isArray(child) || at === path.length - 1) {
        Reflect.deleteProperty(parent, part);
        break;
      }
      parent = child;
    }
  }
  return copy;
}

/** One error for all problems: their code when they share one, else that the file is invalid. */
export function toError(found: readonly SchemaProblem[], file: string, name: 'sandbox' | 'policy'): SjsError {
  const codes = new Set(found.map(({ code }) => code));
  const problems = found.map(({ problem }) => problem);
  const [first] = problems;
  const place = [file, first?.location?.line, first?.location?.column].filter((part) => part !== undefined);
  const count = problems.length > MAX_PROBLEMS ? `more than ${MAX_PROBLEMS}` : problems.length;
  return new SjsError(
    codes.size === 1 ? (found[0]?.code ?? INVALID[name]) : INVALID[name],
    problems.length === 1 ? `${first?.message} (${place.join(':')})` : `${file} has ${count} problems`,
    {
      problems,
      next:
        first?.next ??
        (name === 'policy'
          ? 'see docs/reference/policy.md, or sjs schema policy'
          : 'see docs/reference/sandbox.md, or sjs schema'),
    },
  );
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

function describe(error: ErrorObject, document: YamlDocument, name: 'sandbox' | 'policy'): SchemaProblem {
  const own = pathOf(error);
  const shown = showPath(own);
  const { code, message, next } = explain(error, shown, INVALID[name]);
  return {
    code,
    problem: {
      message,
      location: { file: document.file, ...document.locate(own), path: shown },
      snippet: document.excerpt(own),
      ...(next !== undefined && { next }),
    },
  };
}

const INVALID = { sandbox: 'SANDBOX_INVALID', policy: 'POLICY_INVALID' } as const;

function showPath(parts: readonly string[]): string {
  const path = parts.map((part) => part.slice(0, 201)).join('.');
  return escapeUnprintable(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}

function explain(
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
