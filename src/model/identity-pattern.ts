/**
 * What keeps an expression for identities from being safe to ask cosign about, in words, or null when nothing does
 * (ATTACKS B07). It must be anchored at both ends as a whole and literal over scheme, host and owner, or be an address
 * at a literal domain; and it must mean the same to everybody, so rarer syntax is refused.
 */
export function explainIdentityPattern(pattern: string): string | null {
  if (!/^\^[!-~]*\$$/.test(pattern)) return 'must begin with ^ and end with $';
  const inner = pattern.slice(1, -1);
  const tokens = inner.match(TOKEN) ?? [];
  if (tokens.join('') !== inner || !compiles(inner)) return 'is no expression that sjs reads';
  if (tokens.some((token) => token === '^' || token === '$')) return 'must have ^ and $ at its ends only';
  if (hasOuterAlternative(tokens))
    return 'has alternatives without parentheses: ^ and $ bind to one of them only';
  if (isAddress(inner) || /^[a-z][a-z0-9+.-]*:\/\/[^/]+\/[^/]+\//.test(literalStart(tokens))) return null;
  return 'must be literal up to the owner, as ^https://github\\.com/acme/.*$, or at the domain, as ^[a-z]+@example\\.com$';
}

/** The expression as cosign gets it: grouped, so that its anchors hold for the whole. */
export function anchorIdentityPattern(pattern: string): string {
  return `^(?:${pattern.slice(1, -1)})$`;
}

/** Escaped punctuation and three classes, a set, a group that captures nothing special, or one character. */
const TOKEN = /\\[dsw!-/:-@[-`{-~]|\[\^?[^\][\\]+\]|\((?:\?:|(?!\?))|\{[0-9]+(?:,[0-9]*)?\}|[^\\[\]{}(]/g;
const QUANTIFIER = /^(?:[*+?]|\{.*\})$/;

function compiles(inner: string): boolean {
  try {
    new RegExp(inner);
    return true;
  } catch {
    return false;
  }
}

function hasOuterAlternative(tokens: readonly string[]): boolean {
  let depth = 0;
  return tokens.some((token) => {
    if (token.startsWith('(')) depth += 1;
    if (token === ')') depth -= 1;
    return token === '|' && depth === 0;
  });
}

/** The text that every match begins with, as far as it is plain to see. */
function literalStart(tokens: readonly string[]): string {
  const length = tokens.findIndex((token) => !/^(?:\\[^dsw]|[^\\[({.*+?|)])$/.test(token));
  const literal = length < 0 ? tokens : tokens.slice(0, length);
  const isRepeated = length >= 0 && QUANTIFIER.test(tokens[length] ?? '');
  return (isRepeated ? literal.slice(0, -1) : literal).map((token) => token.at(-1)).join('');
}

/** A local part that can hold no slash, colon or at sign, and a literal domain. */
const isAddress = (inner: string): boolean =>
  /^(?:[A-Za-z0-9_-]|\\[.+_-]|\[[A-Za-z0-9._%+-]+\][+*?]?)+@[A-Za-z0-9-]+(?:\\\.[A-Za-z0-9-]+)+$/.test(inner);
