/**
 * Whether a repository (`registry/path`) fits a pattern of the policy: `*` stands for characters within one path
 * component, `**` for any number of whole components. Everything else is literal, letter case included.
 */
export function matchesRepository(pattern: string, repository: string): boolean {
  return matchParts(pattern.split('/'), repository.split('/'));
}

function matchParts(pattern: readonly string[], parts: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return parts.length === 0;
  if (first === '**') return parts.some((_, at) => matchParts(rest, parts.slice(at))) || matchParts(rest, []);
  const [part, ...others] = parts;
  return part !== undefined && matchPart(first, part) && matchParts(rest, others);
}

function matchPart(pattern: string, part: string): boolean {
  const pieces = pattern.split('*');
  if (pieces.length === 1) return pattern === part;
  const head = pieces[0] ?? '';
  const tail = pieces[pieces.length - 1] ?? '';
  if (part.length < head.length + tail.length || !part.startsWith(head) || !part.endsWith(tail)) return false;
  let at = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = part.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= part.length - tail.length;
}
