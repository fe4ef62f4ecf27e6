import { relative } from 'node:path';
import { SjsError, type ErrorCode, type Problem, type SourceLocation } from '../index.js';
import type { Colors } from './output.js';
import { cleanLine } from './terminal.js';

/** A cause longer than this is cut in the middle, unless all was asked for. */
const CAUSE_LINES = 12;

/** The error as one of ours: whatever else is thrown is a mistake in sjs. */
export function toSjsError(error: unknown): SjsError {
  if (error instanceof SjsError) return error;
  return new SjsError('INTERNAL', error instanceof Error ? error.message : String(error), {
    cause: error,
    next: 'this is a mistake in sjs: run it again with --verbose and report what it prints',
  });
}

/** The document that `--json` prints for an error (SPEC §7). */
export function errorDocument(error: SjsError): { readonly error: Readonly<Record<string, unknown>> } {
  return {
    error: {
      code: error.code,
      message: error.message,
      cause: describeCause(error) ?? null,
      next: error.next ?? null,
      location: error.location ?? null,
      problems: error.problems,
    },
  };
}

/** The error that another process reported by its document. */
export function errorOfDocument(document: unknown): SjsError {
  const { code, message, cause, next, problems } = (document as { error: ReportedError }).error;
  return new SjsError(code, message, {
    problems,
    ...(cause !== null && { cause }),
    ...(next !== null && { next }),
  });
}

interface ReportedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly cause: string | null;
  readonly next: string | null;
  readonly problems: SjsError['problems'];
}

/** How an error is shown. */
export interface ErrorView {
  readonly colors: Colors;
  readonly verbose: boolean;
  /** Files below it are shown relative to it. */
  readonly directory: string;
}

/** The error for people: what, why, what next; every problem with its place when there are several. */
export function formatError(error: SjsError, view: ErrorView): string {
  const { colors } = view;
  const lines = [`${colors.red(`error[${error.code}]`)}: ${cleanLine(error.message)}`];
  const [only, ...more] = error.problems;
  if (only === undefined && error.location) lines.push(`  at:    ${formatPlace(error.location, view)}`);
  const next = error.next ?? (more.length === 0 ? only?.next : undefined);
  const isSaid = more.length === 0 && only?.location === undefined && only?.message === error.message;
  for (const problem of isSaid ? [] : error.problems) {
    // The one problem's hint is the next step below.
    const { next: hint, ...rest } = problem;
    lines.push(...formatProblem(more.length === 0 && hint === next ? rest : problem, view));
  }
  const cause = describeCause(error);
  if (cause !== undefined && !repeats(error, cause)) lines.push(...formatCause(cause, view));
  // Of several problems each has its own hint: that of the first, alone at the end, would say nothing.
  const isHint = more.length > 0 && error.problems.some((problem) => problem.next === next);
  // A hint can be something to paste.
  if (next !== undefined && !isHint)
    lines.push(`  ${colors.bold('next:')}  ${next.split('\n').map(cleanLine).join('\n')}`);
  if (view.verbose) lines.push(...formatStack(error).map((line) => colors.dim(line)));
  return lines.join('\n');
}

function formatProblem(problem: Problem, view: ErrorView): string[] {
  const { location, snippet, message } = problem;
  const place = location === undefined ? '' : `${view.colors.cyan(formatPlace(location, view))}: `;
  const path = location?.path ?? '';
  const said = path !== '' && message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
  return [
    `  ${place}${cleanLine(said)}`,
    ...(snippet === undefined ? [] : snippet.split('\n').map((line) => `      ${cleanLine(line)}`)),
    ...(problem.next === undefined ? [] : [`      ${cleanLine(problem.next)}`]),
  ];
}

/** `file:line:column path`, the file relative when it is below the working folder. */
function formatPlace(location: SourceLocation, view: Pick<ErrorView, 'directory'>): string {
  const { file, line, column, path } = location;
  const near = relative(view.directory, file);
  const shown = near === '' || near.startsWith('..') ? file : near;
  const position = line === undefined ? '' : `:${line}${column === undefined ? '' : `:${column}`}`;
  return cleanLine(`${shown}${position}${path === undefined || path === '' ? '' : ` ${path}`}`);
}

/** The words of what failed underneath, outermost first. Undefined when there is nothing to add. */
export function describeCause(error: Error): string | undefined {
  const words: string[] = [];
  let cause: unknown = error.cause;
  for (let depth = 0; cause !== undefined && cause !== null && depth < 5; depth += 1) {
    const text = causeText(cause).trim();
    if (text !== '' && !words.some((said) => said.includes(text))) words.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return words.length === 0 ? undefined : words.join('\n');
}

function causeText(cause: unknown): string {
  if (typeof cause === 'string') return cause;
  // Node reports a refused connection to several addresses with an empty message.
  if (cause instanceof AggregateError && cause.message === '') {
    return cause.errors.map((error: unknown) => causeText(error)).join('; ');
  }
  return cause instanceof Error ? cause.message : JSON.stringify(cause);
}

const repeats = (error: SjsError, cause: string): boolean => error.message.includes(cause);

function formatCause(cause: string, view: ErrorView): string[] {
  const lines = cause.split(/\r?\n/).map(cleanLine);
  const most = view.verbose ? lines.length : CAUSE_LINES;
  const shown =
    lines.length <= most
      ? lines
      : [`… ${lines.length - most} lines before this, shown with --verbose`, ...lines.slice(-most)];
  // Foreign lines never begin a line of ours: CI systems obey some that do.
  return shown.map((line, index) => (index === 0 ? `  cause: ${line}` : `       | ${line}`));
}

function formatStack(error: Error): string[] {
  const inner = error.cause instanceof Error ? (error.cause.stack ?? '').split('\n') : [];
  return [...(error.stack ?? '').split('\n').slice(1), ...inner].map(
    (line) => `    ${cleanLine(line.trim())}`,
  );
}
