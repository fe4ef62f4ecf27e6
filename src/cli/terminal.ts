import { WorkflowCommandFilter } from './workflow-commands.js';

/** Bytes of one line that are shown; a terminal and a CI log are no place for more. */
const LINE_BYTES = 16 * 1024;

/** Controls, formatting characters (bidi, zero-width, tags), line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Makes untrusted output harmless for a terminal, chunk by chunk, wherever the chunks are cut (SPEC §6, ATTACKS O04).
 * Newlines and tabs stay. Every other control character, C1 ones and invalid UTF-8 included, bidi controls and
 * zero-width characters are shown as text (`\x1b`, `\u202e`), so that no escape sequence is left to take effect. Lines
 * are cut at 16 KiB. In CI, workflow commands are broken up too.
 */
export class TerminalCleaner {
  private readonly commands: WorkflowCommandFilter | null;
  /** The beginning of a UTF-8 character whose end has not come, or a CR that may belong to a line break. */
  private held: Uint8Array = new Uint8Array(0);
  private lineBytes = 0;
  private cutBytes = 0;

  constructor(options: { readonly ci: boolean }) {
    this.commands = options.ci ? new WorkflowCommandFilter() : null;
  }

  /** What can be shown of the output by now, as UTF-8. */
  clean(chunk: Uint8Array): Uint8Array {
    this.commands?.startLine();
    const bytes = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    let shown = '';
    let at = 0;
    while (at < bytes.length) {
      const length = bytes[at] === CR ? lineBreakLength(bytes, at) : characterLength(bytes, at);
      if (length === null) break;
      shown += this.show(bytes, at, length);
      at += Math.max(1, length);
    }
    this.held = bytes.slice(at);
    return Buffer.from(shown);
  }

  /** What was held back; to be called at the end of the output. */
  flush(): Uint8Array {
    let shown = '';
    for (const byte of this.held) shown += this.emit(escape(byte, 'x'), 1);
    this.held = new Uint8Array(0);
    shown += this.commands?.flush() ?? '';
    return Buffer.from(shown + this.endCut());
  }

  /** The character of `length` bytes at `at` in its harmless form; length 0 is a byte that begins no character. */
  private show(bytes: Uint8Array, at: number, length: number): string {
    const first = bytes[at] ?? 0;
    if (length === 0 || (first === CR && length === 1)) return this.emit(escape(first, 'x'), 1);
    if (first === LF || first === CR) return this.endLine();
    const character = length === 1 ? String.fromCharCode(first) : decode(bytes, at, length);
    const isPrintable = first >= 0x20 && first < 0x7f;
    if (isPrintable || character === '\t' || !UNSAFE.test(character)) return this.emit(character, length);
    const code = character.codePointAt(0) ?? 0;
    return this.emit(escape(code, code < 0x100 ? 'x' : 'u'), length);
  }

  private emit(text: string, bytes: number): string {
    if (this.lineBytes + bytes > LINE_BYTES) {
      this.lineBytes = LINE_BYTES;
      this.cutBytes += bytes;
      return '';
    }
    this.lineBytes += bytes;
    return this.pass(text);
  }

  private endLine(): string {
    const end = this.endCut();
    this.lineBytes = 0;
    return end + this.pass('\n');
  }

  private endCut(): string {
    if (this.cutBytes === 0) return '';
    const note = this.pass(`… (${this.cutBytes} more bytes in this line)`);
    this.cutBytes = 0;
    return note;
  }

  private pass(text: string): string {
    if (!this.commands) return text;
    let shown = '';
    for (const character of text) shown += this.commands.push(character);
    return shown;
  }
}

/** Foreign text as one harmless line of a table or message: line breaks and tabs are escaped too. */
export function cleanLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return escape(code, code < 0x100 ? 'x' : 'u');
  });
}

/** CR LF is one line break; a CR alone would let what follows overwrite the line. Null when the next byte decides. */
function lineBreakLength(bytes: Uint8Array, at: number): number | null {
  if (at + 1 === bytes.length) return null;
  return bytes[at + 1] === LF ? 2 : 1;
}

/**
 * Length of the UTF-8 character at `at` (RFC 3629: no overlong forms, no surrogates); 0 when the byte begins none, null
 * when its end is still to come.
 */
function characterLength(bytes: Uint8Array, at: number): number | null {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i < length; i += 1) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    if (byte < (i === 1 ? low : 0x80) || byte > (i === 1 ? high : 0xbf)) return 0;
  }
  return length;
}

function decode(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('utf8');
}

function escape(code: number, form: 'x' | 'u'): string {
  const hex = code.toString(16);
  if (form === 'x') return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}
