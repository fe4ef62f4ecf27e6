import { cleanText } from './clean-text.js';

const NEWLINE = 0x0a;
/** How much of a line is shown, and how much of that before the difference. */
const SHOWN = 100;
const BEFORE = 30;

/**
 * The first line in which two outputs differ, as `line 3, byte 7:` with the expected line after `-` and the actual one
 * after `+`; bounded, without control characters, no newline at the end. Empty when the outputs are equal.
 */
export function describeTextDifference(expected: Uint8Array, actual: Uint8Array): string {
  const at = findDifference(expected, actual);
  if (at === null) return '';
  const start =
    (at === 0 ? -1 : Buffer.from(expected.buffer, expected.byteOffset, at).lastIndexOf(NEWLINE)) + 1;
  const line = countLines(expected, start) + 1;
  return [
    `line ${line}, byte ${at - start + 1}:`,
    `- ${showLine(expected, start, at)}`,
    `+ ${showLine(actual, start, at)}`,
  ].join('\n');
}

function findDifference(a: Uint8Array, b: Uint8Array): number | null {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i += 1) if (a[i] !== b[i]) return i;
  return a.length === b.length ? null : shorter;
}

function countLines(bytes: Uint8Array, end: number): number {
  let lines = 0;
  for (let i = 0; i < end; i += 1) if (bytes[i] === NEWLINE) lines += 1;
  return lines;
}

/** The line that begins at `start`, or a window of it around the place where the two part. */
function showLine(bytes: Uint8Array, start: number, at: number): string {
  if (start >= bytes.length) return '(the output ends before this line)';
  const newline = bytes.indexOf(NEWLINE, start);
  const end = newline === -1 ? bytes.length : newline;
  const from = onCharacter(bytes, Math.max(start, at - BEFORE), start);
  const to = end <= from + SHOWN ? end : onCharacter(bytes, from + SHOWN, from);
  // Tabs and spaces can be the whole difference: they are shown, not collapsed.
  const text = cleanText(`"${escapeInvalid(bytes.subarray(from, to))}"`);
  const tail = to < end ? '…' : newline === -1 ? ' (no newline at the end)' : '';
  return `${from > start ? '…' : ''}${text}${tail}`;
}

/** The last place before or at `at` where a UTF-8 character begins. */
function onCharacter(bytes: Uint8Array, at: number, start: number): number {
  let place = at;
  while (place > start && place > at - 3 && ((bytes[place] ?? 0) & 0xc0) === 0x80) place -= 1;
  return place;
}

function escapeInvalid(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoded = text.toString('utf8');
  const exact = decoded.includes('\ufffd') ? escapeBytes(text) : decoded;
  return exact.replace(/\t/g, '\\t').replace(/\r/g, '\\r');
}

function escapeBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('');
}
