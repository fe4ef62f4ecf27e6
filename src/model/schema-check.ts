import type { ErrorObject, ValidateFunction } from 'ajv';
import { SjsError, type ErrorCode, type Problem } from '../errors.js';
import { explain, KINDS, type QuantityRule } from './explain-schema-error.js';
import type { Digest } from './digest.js';
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
  /** Whether something at the path, or below it, does not fit or is missing. */
  hasFault(...path: string[]): boolean;
  /** The document's value without what does not fit: what is left can be judged further. */
  readonly sound: unknown;
}

/** Nobody reads more, and a hostile file can have a hundred thousand. */
const MAX_PROBLEMS = 64;

/** Takes one problem of a value: its dotted path, what is wrong, what to do. */
export type Report = (path: string, message: string, next?: string, code?: ErrorCode) => void;

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
  const paths = errors.map(pathOf);
  const faults = paths.filter((_path, at) => errors[at]?.keyword !== 'required');
  return {
    problems: document.mayQuote ? describeAll(errors, document, name) : [describeForeign(document, name)],
    hasFault: (...path) => paths.some((fault) => path.every((part, at) => fault[at] === part)),
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

/**
 * Remembers which texts were found valid, by a digest over text and kind: validating costs more than the
 * rest of a run's start, and equal bytes are valid for ever.
 */
export interface ValidTexts {
  has(key: Digest): Promise<boolean>;
  add(key: Digest): Promise<void>;
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

export { show } from './explain-schema-error.js';
export type { QuantityRule };
