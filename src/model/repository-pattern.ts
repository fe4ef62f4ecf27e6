/**
 * Whether a repository (`registry/path`) fits a pattern of the policy: `*` stands for characters within one path
 * component, `**` for any number of whole components. Everything else is literal, letter case included.
 */
export function matchesRepository(pattern: string, repository: string): boolean {
  return matchParts(pattern.split('/'), repository.split('/'), '**', matchesName);
}

/** Whether a name fits a pattern in which `*` stands for any characters. */
export function matchesName(pattern: string, name: string): boolean {
  return matchParts([...pattern], [...name], '*', (one, other) => one === other);
}

/**
 * Goes back to the last wildcard only: an earlier one could take no more than that one can. So the time is at most the
 * product of the lengths, whatever a repository's policy says.
 */
function matchParts(
  pattern: readonly string[],
  parts: readonly string[],
  wildcard: string,
  fits: (pattern: string, part: string) => boolean,
): boolean {
  let at = 0;
  let afterWildcard = -1;
  let taken = 0;
  for (let part = 0; part < parts.length;) {
    const expected = pattern[at];
    if (expected === wildcard) {
      at += 1;
      afterWildcard = at;
      taken = part;
    } else if (expected !== undefined && fits(expected, parts[part] ?? '')) {
      at += 1;
      part += 1;
    } else if (afterWildcard >= 0) {
      taken += 1;
      part = taken;
      at = afterWildcard;
    } else return false;
  }
  return pattern.slice(at).every((rest) => rest === wildcard);
}
