import { valid } from '@renovatebot/pep440';
import {
  parsePipRequirementsLine,
  VersionOperator,
  type EnvironmentMarker,
  type Requirement as Specification,
} from 'pip-requirements-js';
import { SjsError, type Problem } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { PACKAGE_LIMITS } from '../../model/locked-package.js';
import { formatBytes } from '../../model/quantity.js';
import { normalizeProject } from '../../model/wheel.js';

/** One line of a requirements.txt: a project, of one version, and the files of it that may be used. */
export interface Requirement {
  /** As an index has it. */
  readonly name: string;
  readonly version: string;
  /** As an index has them. */
  readonly extras: readonly string[];
  /** When it is needed; null for always. */
  readonly marker: EnvironmentMarker | null;
  /** SHA-256 of each file that may be used, as subresource integrity. */
  readonly hashes: readonly string[];
  /** Where it begins, from 1. */
  readonly line: number;
}

/** Longer than what anybody writes of one package, without its hashes. */
const LONGEST = 4096;
/** All of a file but its hashes: to read it takes its time, and each platform of a lock asks for it. */
const MOST_SPECIFIERS = 1024 ** 2;
const MOST_PROBLEMS = 100;
const MOST_EXTRAS = 50;
/** Wheels of one version, for all platforms and Pythons. */
export const MOST_HASHES = 1000;

/**
 * Reads a requirements.txt as a lockfile: every line names one version and the hashes of its files, as `pip-compile
 * --generate-hashes`, `uv export` and `poetry export` write it.
 * @throws SjsError `LOCKFILE_INVALID` with all problems at once
 */
export function readRequirements(text: string, file: string): readonly Requirement[] {
  const problems: Problem[] = [];
  const requirements: Requirement[] = [];
  let room = MOST_SPECIFIERS;
  for (const { content, line } of logicalLines(text)) {
    room -= (content.search(/\s--/) + 1 || content.length) + 1;
    if (room < 0 || requirements.length > PACKAGE_LIMITS.packages) throw tooMany(file);
    if (problems.length >= MOST_PROBLEMS) break;
    const found = readLine(content, line);
    if (found === null) continue;
    if ('name' in found) requirements.push(found);
    else problems.push({ ...found, message: cleanText(found.message), location: { file, line } });
  }
  const [first] = problems;
  if (first) {
    throw new SjsError(
      'LOCKFILE_INVALID',
      problems.length === 1
        ? first.message
        : `${file} has ${problems.length} lines${problems.length < MOST_PROBLEMS ? '' : ', and perhaps more,'} that sjs does not take`,
      { problems, ...(first.next !== undefined && { next: first.next }) },
    );
  }
  if (requirements.length > PACKAGE_LIMITS.packages) throw tooMany(file);
  return requirements;
}

const tooMany = (file: string): SjsError =>
  new SjsError(
    'LOCKFILE_INVALID',
    `${file} has more than ${PACKAGE_LIMITS.packages} packages, or more than ${formatBytes(MOST_SPECIFIERS)} beside their hashes`,
    { location: { file }, next: 'split what the sandbox needs from the rest' },
  );

/** Lines as pip joins them: a backslash at the end goes on in the next; a comment begins with # behind a space. */
function* logicalLines(text: string): Generator<{ readonly content: string; readonly line: number }> {
  let joined = '';
  let line = 1;
  let begin = 1;
  for (const each of text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)) {
    const isComment = /^\s*#/.test(each);
    if (joined === '') begin = line;
    line += 1;
    if (!isComment && each.endsWith('\\')) {
      joined += `${each.slice(0, -1)} `;
      continue;
    }
    const content = withoutComment(joined + (isComment ? '' : each)).trim();
    joined = '';
    if (content !== '') yield { content, line: begin };
  }
  const rest = joined.trim();
  if (rest !== '') yield { content: rest, line: begin };
}

/** By its place: what a pattern would look for to the end of a line could be anywhere in sixteen million letters. */
function withoutComment(line: string): string {
  const at = line.search(/(?:^|\s)#/);
  return at < 0 ? line : line.slice(0, at);
}

type Refusal = Pick<Problem, 'message' | 'next'>;

const HASHES_NEXT =
  'write the file with pip-compile --generate-hashes, uv export or poetry export, review it and commit it';

/** Null for an option that says what sjs does anyway. */
function readLine(content: string, line: number): Requirement | Refusal | null {
  if (content.startsWith('-')) return readOption(content);
  const end = content.search(/\s--/);
  const spec = (end < 0 ? content : content.slice(0, end)).trim();
  const options = readOptions(end < 0 ? '' : content.slice(end));
  const parsed = parseSpecification(spec);
  if (parsed === null) return { message: `${shorten(spec)} is no requirement`, next: HASHES_NEXT };
  if (parsed.type !== 'ProjectName') {
    return {
      message: `${shorten(spec)} is not from the package index`,
      next: 'pin a version of a project: packages come as wheels from the index that the operator has configured',
    };
  }
  const [pin, ...others] = parsed.versionSpec ?? [];
  const version = pin?.version ?? '';
  if (pin?.operator !== VersionOperator.VersionMatching || others.length > 0 || valid(version) === null) {
    return { message: `${shorten(spec)} does not name one version`, next: HASHES_NEXT };
  }
  const hashes: string[] = [];
  for (const option of options) {
    const [, algorithm, hex] = /^--hash[=\s]\s*([a-z0-9]+):([0-9a-f]+)$/i.exec(option.trim()) ?? [];
    if (algorithm === undefined || hex === undefined)
      return { message: `${parsed.name} has the option ${shorten(option)}`, next: 'keep its hashes alone' };
    if (algorithm === 'sha256' && hex.length === 64)
      hashes.push(`sha256-${Buffer.from(hex, 'hex').toString('base64')}`);
  }
  if (hashes.length === 0)
    return { message: `${parsed.name} ${version} has no --hash=sha256:…`, next: HASHES_NEXT };
  const extras = [...new Set((parsed.extras ?? []).map(normalizeProject))];
  if (extras.length > MOST_EXTRAS) return { message: `${parsed.name} has more than ${MOST_EXTRAS} extras` };
  if (hashes.length > MOST_HASHES) return { message: `${parsed.name} has more than ${MOST_HASHES} hashes` };
  return {
    name: normalizeProject(parsed.name),
    version,
    extras,
    marker: parsed.environmentMarkerTree ?? null,
    hashes,
    line,
  };
}

/** The options behind a specifier, each with its value: `--hash=…`, or `--hash …`. */
function readOptions(text: string): readonly string[] {
  const options: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = options.pop();
    if (last === undefined || last === '' || word.startsWith('--'))
      options.push(...(last ? [last] : []), word);
    else options.push(`${last} ${word}`);
  }
  return options.filter((option) => option !== '');
}

/** Reads a dependency specifier (PyPA); null for what is none. */
export function parseSpecification(text: string): Specification | null {
  if (text.length > LONGEST) return null;
  try {
    return parsePipRequirementsLine(text);
  } catch {
    return null;
  }
}

/** What sjs does anyway may be said. */
const SAID_ANYWAY = /^--(?:require-hashes|only-binary[=\s]\s*:all:|prefer-binary)$/;
const INDEX = /^(?:-i|-f|--index-url|--extra-index-url|--find-links|--no-index|--trusted-host)(?:[=\s]|$)/;
const FILE = /^(?:-r|-c|--requirement|--constraint)(?:[=\s]|$)/;

function readOption(option: string): Refusal | null {
  if (SAID_ANYWAY.test(option)) return null;
  const message = `the option ${shorten(option)} is not taken`;
  if (INDEX.test(option)) {
    return {
      message,
      next: 'remove it (pip-compile --no-emit-index-url): which index is asked is configured by the operator alone',
    };
  }
  if (FILE.test(option))
    return { message, next: 'write all requirements into one file, with pip-compile or uv' };
  return {
    message,
    next: 'remove it: packages come as wheels from the index that the operator has configured',
  };
}

const shorten = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
