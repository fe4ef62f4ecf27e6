import { inspect } from 'node:util';

/** Of each text so much, in characters: an error is no way around the output limit. */
const MOST_TEXT = 16 * 1024;
/** Of the errors behind an error so many, and so deep. */
const MOST_BEHIND = 8;
const DEEPEST = 4;

/** What is told of something that was thrown. */
export interface ThrownError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** Anything can be thrown, and reading it can throw too: then less is told. */
export function describeError(error: unknown): ThrownError {
  if (!isObject(error)) return { name: '', message: textOf(error), stack: '' };
  const stack = ownLines(read(error, 'stack'));
  const behind = describeBehind(error, 0);
  return {
    name: read(error, 'name').slice(0, 200),
    message: read(error, 'message') || (stack === '' ? textOf(error) : ''),
    stack: `${stack}${behind}`.slice(0, MOST_TEXT),
  };
}

/** The causes of an error, and the errors that it is made of, as Node shows them. */
function describeBehind(error: object, depth: number): string {
  const causes = Object.hasOwn(error, 'cause') ? [['cause', get(error, 'cause')] as const] : [];
  const parts = get(error, 'errors');
  const errors = Array.isArray(parts)
    ? parts.slice(0, MOST_BEHIND).map((one) => ['errors', one] as const)
    : [];
  return [...causes, ...errors]
    .map(([label, one]) => {
      const text = isObject(one) ? ownLines(read(one, 'stack')) || textOf(one) : textOf(one);
      const more = isObject(one) && depth < DEEPEST ? describeBehind(one, depth + 1) : '';
      return `\n[${label}]: ${text}${more}`;
    })
    .join('');
}

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' || typeof value === 'function') && value !== null;

function get(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function read(value: object, key: 'name' | 'message' | 'stack'): string {
  const text = get(value, key);
  return typeof text === 'string' ? text.slice(0, MOST_TEXT) : '';
}

function textOf(value: unknown): string {
  try {
    return (isObject(value) ? inspect(value, { depth: 1 }) : String(value)).slice(0, MOST_TEXT);
  } catch {
    return '';
  }
}

/** Without the lines of Node and of what calls the function. */
const ownLines = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => !/^\s+at (?:async )?(?:.*\()?(?:node:|(?:file:\/\/)?\/\.sjs\/)/.test(line))
    .join('\n')
    .replaceAll('file:///app/', '/app/');
