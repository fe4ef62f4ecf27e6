import { canonicalJson } from '../../model/canonical-json.js';

/** Something that two sides have otherwise; null where one does not have it. */
export interface Change {
  readonly what: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** In what two sets of facts differ, sorted by what it is. */
export function changes(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): readonly Change[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((what) => ({ what, from: before.get(what) ?? null, to: after.get(what) ?? null }))
    .filter(({ from, to }) => canonicalJson(from) !== canonicalJson(to))
    .sort((x, y) => (x.what < y.what ? -1 : 1));
}

/** The same of mappings. */
export function changedEntries(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): readonly Change[] {
  return changes(new Map(Object.entries(before)), new Map(Object.entries(after)));
}
