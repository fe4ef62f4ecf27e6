import {
  constructFromEvents,
  EVENT_ID,
  getScalarValue,
  parseEvents,
  YAMLException,
  type Event,
} from 'js-yaml';
import { SjsError, type ErrorCode } from '../errors.js';
import { escapeUnprintable, hasUnprintable } from './sandbox.js';

/** A parsed file, and where each of its keys stands. */
export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /** Line and column, from 1, of a dotted path (`spec.resources.memory`), or of its nearest parent that is there. */
  locate(path: string): { readonly line: number; readonly column: number };
  /** The line there, with its number, and a caret below the place. */
  excerpt(path: string): string;
}

/** Largest file sjs reads as YAML. */
export const YAML_BYTES = 256 * 1024;
const DEPTH = 32;

/** Codes for what js-yaml refuses by itself, by the words it uses. */
const REASONS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/duplicated mapping key/, 'YAML_DUPLICATE_KEY'],
  [/maxAliases|alias/, 'YAML_ALIAS'],
  [/maxDepth/, 'YAML_DEPTH'],
  [/tag/, 'YAML_TAG'],
];

/**
 * Parses untrusted YAML: one document, no directives, tags, anchors, aliases or merge keys, text keys only, no
 * duplicate keys, at most 32 levels, nothing invisible (SPEC §3; ATTACKS C01-C08, C17). Keys such as `__proto__` come
 * out as own properties.
 * @throws SjsError `YAML_*`, `FILE_TOO_LARGE`, with the place.
 */
export function parseYaml(bytes: Uint8Array, file: string): YamlDocument {
  if (bytes.length > YAML_BYTES) {
    throw new SjsError('FILE_TOO_LARGE', `${file} is larger than 256 KiB`, {
      location: { file },
      next: 'keep data out of it',
    });
  }
  const text = decode(bytes, file);
  const refuse = (code: ErrorCode, offset: number, message: string, next: string): SjsError =>
    new SjsError(code, `${message} (${showAt(file, text, offset)})`, {
      location: { file, ...placeOf(text, offset) },
      problems: [
        { message, location: { file, ...placeOf(text, offset) }, snippet: excerptAt(text, offset), next },
      ],
      next,
    });
  const invisible = [...text.matchAll(/[^\n\r\t]+/g)].find(([run]) => hasUnprintable(run));
  if (invisible) {
    const at = invisible.index + [...invisible[0]].findIndex((char) => hasUnprintable(char));
    throw refuse(
      'YAML_SYNTAX',
      at,
      `the character ${escapeUnprintable([...text.slice(at, at + 2)][0] ?? '')} cannot be seen and is not allowed`,
      'remove it',
    );
  }
  try {
    const events = parseEvents(text, { filename: file, maxDepth: DEPTH });
    const offsets = readOffsets(events, text, refuse);
    const documents = constructFromEvents(events, { source: text, filename: file, maxAliases: 0 });
    const nearest = (path: string): number => {
      const parts = path.split('.');
      while (parts.length > 0 && !offsets.has(parts.join('.'))) parts.pop();
      return offsets.get(parts.join('.')) ?? 0;
    };
    return {
      file,
      value: documents[0],
      locate: (path) => placeOf(text, nearest(path)),
      excerpt: (path) => excerptAt(text, nearest(path)),
    };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const code = REASONS.find(([words]) => words.test(error.reason))?.[1] ?? 'YAML_SYNTAX';
    throw refuse(
      code,
      error.mark?.position ?? 0,
      `${file} is not the YAML that sjs reads: ${error.reason}`,
      NEXT[code] ?? 'correct the line',
    );
  }
}

const NEXT: Partial<Record<ErrorCode, string>> = {
  YAML_DUPLICATE_KEY: 'keep one of the two',
  YAML_ALIAS: 'write the value out: anchors and aliases are not allowed',
  YAML_MERGE: 'write the keys out: merge keys are not allowed',
  YAML_TAG: 'remove the tag: values are what they look like',
  YAML_DEPTH: `nest at most ${DEPTH} levels`,
  YAML_MULTIPLE_DOCUMENTS: 'keep one document, without --- and %YAML',
};

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new SjsError('YAML_SYNTAX', `${file} is not UTF-8`, {
      cause,
      location: { file },
      next: 'save it as UTF-8 without a byte order mark',
    });
  }
}

type Refuse = (code: ErrorCode, offset: number, message: string, next: string) => SjsError;

/** Offsets of keys by dotted path; list items count from 0. Refuses what the language has and sjs does not. */
function readOffsets(events: readonly Event[], text: string, refuse: Refuse): Map<string, number> {
  const offsets = new Map<string, number>();
  /** One open collection: its path, and for a mapping the key whose value comes next. */
  const open: { path: string; isMapping: boolean; key: string | null; index: number }[] = [];
  let documents = 0;
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT) {
      if (++documents > 1 || event.directives.length > 0) {
        throw refuse(
          'YAML_MULTIPLE_DOCUMENTS',
          0,
          'the file has more than one document, or a directive',
          NEXT.YAML_MULTIPLE_DOCUMENTS ?? '',
        );
      }
      continue;
    }
    if (event.type === EVENT_ID.POP) {
      open.pop();
      continue;
    }
    if (event.type === EVENT_ID.ALIAS || event.anchorStart >= 0) {
      throw refuse(
        'YAML_ALIAS',
        event.anchorStart,
        'anchors and aliases are not allowed',
        NEXT.YAML_ALIAS ?? '',
      );
    }
    const offset = event.type === EVENT_ID.SCALAR ? event.valueStart : event.start;
    if (event.tagStart >= 0)
      throw refuse(
        'YAML_TAG',
        event.tagStart,
        `the tag ${text.slice(event.tagStart, event.tagEnd)} is not allowed`,
        NEXT.YAML_TAG ?? '',
      );
    const parent = open.at(-1);
    if (parent?.isMapping && parent.key === null) {
      if (event.type !== EVENT_ID.SCALAR)
        throw refuse('YAML_SYNTAX', offset, 'a key must be text', 'write it as name: value');
      const key = getScalarValue(text, event);
      if (key === '<<')
        throw refuse('YAML_MERGE', offset, 'merge keys are not allowed', NEXT.YAML_MERGE ?? '');
      parent.key = key;
      offsets.set(join(parent.path, key), offset);
      continue;
    }
    const name = parent?.isMapping ? (parent.key ?? '') : String(parent?.index ?? '');
    const path = parent ? join(parent.path, name) : '';
    if (parent?.isMapping) parent.key = null;
    else if (parent) {
      parent.index += 1;
      offsets.set(path, offset);
    }
    if (event.type !== EVENT_ID.SCALAR)
      open.push({ path, isMapping: event.type === EVENT_ID.MAPPING, key: null, index: 0 });
  }
  return offsets;
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

const showAt = (file: string, text: string, offset: number): string => {
  const { line, column } = placeOf(text, offset);
  return `${file}:${line}:${column}`;
};

/** At most 120 characters of the line, around the place. */
function excerptAt(text: string, offset: number): string {
  const { line, column } = placeOf(text, offset);
  const start = Math.max(0, column - 80);
  const shown = escapeUnprintable(
    (text.split('\n')[line - 1] ?? '').replace(/\t/g, ' ').slice(start, start + 120),
  );
  return `${line} | ${shown}\n${' '.repeat(String(line).length)} | ${' '.repeat(column - 1 - start)}^`;
}
