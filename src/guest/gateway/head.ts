import { readServerName } from './client-hello.js';
import { LONGEST_LINE, recognize } from './first-bytes.js';

/** What the first bytes of a connection say. */
export type Beginning =
  | { readonly kind: 'more' | 'http' | 'other' | 'broken' }
  | { readonly kind: 'tls'; readonly name: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Bytes until it is clear who is meant. */
const LONGEST_HEAD = 64 * 1024;
/** Small pieces cost more than their bytes do. */
const MOST_PIECES = 64;

/**
 * The first bytes of a connection, until they say who is meant. They are looked at when they can say more than before,
 * and not for every piece: a program may send them one at a time.
 */
export class Head {
  length = 0;
  private pieces: Buffer[] = [];
  /** How many bytes there must be before they say more; a line that ends says more in any case. */
  private need = 1;
  private isLine = false;

  add(piece: Buffer): Beginning {
    this.pieces.push(piece);
    this.length += piece.length;
    if (this.pieces.length > MOST_PIECES) this.bytes();
    if (this.length < this.need && !(this.isLine && endsLine(piece))) return { kind: 'more' };
    const bytes = this.bytes();
    const kind = recognize(bytes);
    this.isLine = kind === 'more' && bytes[0] !== 0x16;
    this.need = this.isLine ? LONGEST_LINE + 1 : this.length + 1;
    if (kind !== 'tls') return { kind };
    const hello = readServerName(bytes);
    if (hello.kind === 'name') return { kind: 'tls', name: hello.name };
    if (hello.kind === 'refused') return hello;
    if (this.length >= LONGEST_HEAD) return { kind: 'refused', reason: 'a TLS hello that is too long' };
    this.need = Math.min(hello.need, LONGEST_HEAD);
    return { kind: 'more' };
  }

  bytes(): Buffer {
    const [only = Buffer.alloc(0)] = this.pieces;
    if (this.pieces.length < 2) return only;
    const all = Buffer.concat(this.pieces);
    this.pieces = [all];
    return all;
  }
}

/** Whether something is in it that text before the end of a line does not have. */
const endsLine = (piece: Buffer): boolean => /[^\t\r -~]/.test(piece.toString('latin1'));
