/** A word longer than this is no mistyped one. */
const LONGEST = 200;

/**
 * The candidate that was probably meant: at most a third of the letters differ, however large they are written. Of two
 * that are equally near the first. Undefined when none is near.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LONGEST) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let least = Math.floor(Math.max(word.length, 3) / 3) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= least) continue;
    const distance = countEdits(wanted, candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/**
 * The id whose beginning was probably meant. Ids of one day begin alike, and by chance one is near: one letter may
 * differ, of many letters two, and no other id may be as near.
 */
export function nearestId(word: string, ids: readonly string[]): string | undefined {
  const most = word.length < 16 ? 1 : 2;
  if (word.length < 6 || word.length > 26 + most) return undefined;
  const wanted = word.toUpperCase();
  const near = ids
    .map((id) => ({ id, edits: countEdits(wanted, id.slice(0, word.length)) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits);
  return near[0] && near[0].edits !== near[1]?.edits ? near[0].id : undefined;
}

/** Letters to insert, remove, replace or swap to make one word of the other (optimal string alignment). */
function countEdits(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, index) => index)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= to.length; j += 1) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      row.push(
        Math.min(
          at(i - 1, j - 1) + (isSame ? 0 : 1),
          at(i - 1, j) + 1,
          (row[j - 1] ?? Infinity) + 1,
          isSwapped ? at(i - 2, j - 2) + 1 : Infinity,
        ),
      );
    }
  }
  return at(from.length, to.length);
}
