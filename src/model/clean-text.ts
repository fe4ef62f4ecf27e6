/** Controls, formatting characters (bidi, zero-width, tags), line and paragraph separators, half characters. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** How much of a foreign message is worth one line. */
const MAX_LENGTH = 1000;

/**
 * Foreign text (of an engine, cosign, a guest) as one harmless line for messages and logs: line breaks and tabs become
 * a space, what could steer a terminal or mislead a reader becomes `\x1b` or `\u202e`, and the end is cut at 1000.
 */
export function cleanText(text: string): string {
  const line = text
    .slice(0, 4 * MAX_LENGTH)
    .trim()
    .replace(/[\t ]*(?:\r?\n|\t)\s*/g, ' ')
    .replace(UNSAFE, escapeCharacter);
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH).replace(/\p{Cs}$/u, '')}…` : line;
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

/** A name that somebody else chose, in a message: quoted, with nothing in it that acts on a terminal, and not long. */
export const showName = (name: string): string => cleanText(JSON.stringify(name.slice(0, 200)));
