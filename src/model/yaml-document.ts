import { constructFromEvents, parseEvents, YAMLException } from 'js-yaml';
import { SjsError, type ErrorCode } from '../errors.js';
import { escapeUnprintable, hasUnprintable } from './sandbox.js';
import { findOffset, Lines, readPlaces, type Refuse } from './yaml-places.js';

/** A parsed file, and where each of its keys stands. */
export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /**
   * Whether errors may show what is in it: it says `apiVersion: sjs/…`, or has the name of one of sjs's files. Any
   * other file, a private key or another program's credentials, was named by mistake and is never quoted (ATTACKS C09).
   */
  readonly mayQuote: boolean;
  /**
   * Line and column, from 1, of a path, or of its nearest parent that is there.
   * @param path dotted (`spec.resources.memory`), or its parts for keys that have dots themselves
   */
  readonly locate: (path: string | readonly string[]) => { readonly line: number; readonly column: number };
  /** The line there, with its number, and a caret below the place. */
  readonly excerpt: (path: string | readonly string[]) => string;
}

/** Largest file sjs reads as YAML. */
export const YAML_BYTES = 256 * 1024;
const DEPTH = 32;

/** Codes for what js-yaml refuses by itself, by the words it uses. */
const REASONS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^duplicated mapping key/, 'YAML_DUPLICATE_KEY'],
  [/\bmaxAliases\b|\b(?:alias|anchor)\b/, 'YAML_ALIAS'],
  [/\bmaxDepth\b/, 'YAML_DEPTH'],
  [/\bdirectives?\b|%YAML|\bTAG directive\b|YAML version/, 'YAML_MULTIPLE_DOCUMENTS'],
  [/\btag\b/, 'YAML_TAG'],
];

const NEXT: Partial<Record<ErrorCode, string>> = {
  YAML_DUPLICATE_KEY: 'keep one of the two',
  YAML_ALIAS: 'write the value out: anchors and aliases are not allowed',
  YAML_MERGE: 'write the keys out: merge keys are not allowed',
  YAML_TAG: 'remove the tag: values are what they look like',
  YAML_DEPTH: `nest at most ${DEPTH} levels`,
  YAML_MULTIPLE_DOCUMENTS: 'keep one document, without --- and %YAML',
};

/**
 * Parses untrusted YAML: one document, no directives, tags, anchors, aliases or merge keys, text keys only, no
 * duplicate keys, at most 32 levels and 20,000 keys and values, nothing invisible (SPEC §3; ATTACKS C01-C08, C17). Keys
 * such as `__proto__` come out as own properties.
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
  const lines = new Lines(text);
  const mayQuote =
    /(?:^|[/\\])(?:sandbox|policy)\.ya?ml$/.test(file) || /^apiVersion:[ \t]*["']?sjs\//m.test(text);
  const refuse: Refuse = (code, offset, message, next = NEXT[code] ?? 'correct the line') => {
    const location = { file, ...lines.placeOf(offset) };
    const said = mayQuote ? message : `${file} is not YAML that sjs reads`;
    return new SjsError(code, `${said} (${file}:${location.line}:${location.column})`, {
      location,
      problems: [{ message: said, location, ...(mayQuote && { snippet: lines.excerptAt(offset) }), next }],
      next,
    });
  };
  refuseInvisible(text, refuse);
  try {
    const events = parseEvents(text, { filename: file, maxDepth: DEPTH });
    const places = readPlaces(events, text, refuse);
    const [value] = constructFromEvents(events, { source: text, filename: file, maxAliases: 0 });
    const offsetOf = (path: string | readonly string[]): number =>
      findOffset(places, typeof path === 'string' ? path.split('.') : path);
    return {
      file,
      value,
      mayQuote,
      locate: (path) => lines.placeOf(offsetOf(path)),
      excerpt: (path) => lines.excerptAt(offsetOf(path)),
    };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const code = REASONS.find(([words]) => words.test(error.reason))?.[1] ?? 'YAML_SYNTAX';
    const reason = escapeUnprintable(error.reason.slice(0, 200));
    throw refuse(code, error.mark?.position ?? 0, `${file} is not the YAML that sjs reads: ${reason}`);
  }
}

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

/** What a reviewer cannot see must not be there, comments included. */
function refuseInvisible(text: string, refuse: Refuse): void {
  for (const { index, 0: run } of text.matchAll(/[^\n\r\t]+/g)) {
    if (!hasUnprintable(run)) continue;
    let offset = index;
    for (const character of run) {
      if (hasUnprintable(character))
        throw refuse(
          'YAML_SYNTAX',
          offset,
          `the character ${escapeUnprintable(character)} cannot be seen and is not allowed`,
          'remove it',
        );
      offset += character.length;
    }
  }
}
