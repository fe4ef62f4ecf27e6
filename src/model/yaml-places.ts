import { EVENT_ID, getScalarValue, type Event } from 'js-yaml';
import type { SjsError } from '../errors.js';
import { type ErrorCode } from '../errors.js';
import { escapeUnprintable } from './sandbox.js';

/** Where keys stand: a tree, so that a long key costs its length once and not once for each key below it. */
interface Place {
  readonly offset: number;
  readonly children: Map<string, Place>;
}

/** Keys, values, and ends of collections. A sandbox.yaml has hundreds; what is far beyond only costs time. */
const MAX_EVENTS = 20_000;

/** What makes an error at an offset. */
export type Refuse = (code: ErrorCode, offset: number, message: string, next?: string) => SjsError;

/**
 * Offsets of all keys; list items count from 0. Refuses what YAML has and sjs does not: several documents, directives,
 * anchors, aliases, tags, merge keys, keys that are no text.
 */
export function readPlaces(events: readonly Event[], text: string, refuse: Refuse): Place {
  const root: Place = { offset: 0, children: new Map() };
  /** One open collection, and for a mapping the place of the key whose value comes next. */
  const open: { place: Place; isMapping: boolean; key: Place | null; index: number }[] = [];
  let documents = 0;
  for (const [count, event] of events.entries()) {
    if (count === MAX_EVENTS)
      throw refuse(
        'FILE_TOO_LARGE',
        0,
        `the file has more than ${MAX_EVENTS} keys and values`,
        'keep data out of it',
      );
    if (event.type === EVENT_ID.DOCUMENT) {
      if (++documents > 1 || event.directives.length > 0)
        throw refuse('YAML_MULTIPLE_DOCUMENTS', 0, 'the file has more than one document, or a directive');
      continue;
    }
    if (event.type === EVENT_ID.POP) {
      open.pop();
      continue;
    }
    if (event.type === EVENT_ID.ALIAS || event.anchorStart >= 0)
      throw refuse('YAML_ALIAS', event.anchorStart, 'anchors and aliases are not allowed');
    if (event.tagStart >= 0) {
      const tag = text.slice(event.tagStart, Math.min(event.tagEnd, event.tagStart + 60));
      throw refuse('YAML_TAG', event.tagStart, `the tag ${escapeUnprintable(tag)} is not allowed`);
    }
    const offset = event.type === EVENT_ID.SCALAR ? event.valueStart : event.start;
    const parent = open.at(-1);
    if (parent?.isMapping && parent.key === null) {
      if (event.type !== EVENT_ID.SCALAR)
        throw refuse('YAML_SYNTAX', offset, 'a key must be text', 'write it as name: value');
      const key = getScalarValue(text, event);
      if (key === '<<') throw refuse('YAML_MERGE', offset, 'merge keys are not allowed');
      parent.key = { offset, children: new Map() };
      parent.place.children.set(key, parent.key);
      continue;
    }
    let place = root;
    if (parent?.isMapping) {
      place = parent.key ?? root;
      parent.key = null;
    } else if (parent) {
      place = { offset, children: new Map() };
      parent.place.children.set(String(parent.index), place);
      parent.index += 1;
    }
    if (event.type !== EVENT_ID.SCALAR)
      open.push({ place, isMapping: event.type === EVENT_ID.MAPPING, key: null, index: 0 });
  }
  return root;
}

/** Offset of a path, or of its nearest parent that is there. */
export function findOffset(root: Place, path: readonly string[]): number {
  let place = root;
  for (const part of path) {
    const next = place.children.get(part);
    if (!next) break;
    place = next;
  }
  return place.offset;
}

/** The lines of a text, found once: a file can have thousands of problems. */
export class Lines {
  readonly #text: string;
  readonly #starts: number[] = [0];

  constructor(text: string) {
    this.#text = text;
    for (const { index, 0: end } of text.matchAll(/\r\n?|\n/g)) this.#starts.push(index + end.length);
  }

  /** Line and column, from 1. */
  placeOf(offset: number): { readonly line: number; readonly column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 };
  }

  /** At most 120 characters of the line, with its number, and a caret below the place. */
  excerptAt(offset: number): string {
    const { line, column } = this.placeOf(offset);
    const begin = this.#starts[line - 1] ?? 0;
    const end = this.#starts[line] ?? this.#text.length;
    const from = begin + Math.max(0, column - 80);
    const show = (text: string): string =>
      escapeUnprintable(text.replace(/[\r\n]+$/, '').replace(/\t/g, ' '));
    const shown = show(this.#text.slice(from, Math.min(end, from + 120)));
    // What is escaped before the place is wider than it was.
    const before = show(this.#text.slice(from, offset)).length;
    return `${line} | ${shown}\n${' '.repeat(String(line).length)} | ${' '.repeat(before)}^`;
  }
}
