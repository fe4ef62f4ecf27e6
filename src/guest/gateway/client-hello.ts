/** What the first bytes of a TLS connection say of the server that is meant. */
export type Hello =
  /** No less than so many bytes in all can say more. */
  | { readonly kind: 'more'; readonly need: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'refused'; readonly reason: string };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
/** encrypted_client_hello of RFC 9849, and the draft before it: the server that is meant is hidden. */
const ENCRYPTED = [0xfe0d, 0xffce];

const more = (need: number): Hello => ({ kind: 'more', need });
const refused = (reason: string): Hello => ({ kind: 'refused', reason });

/**
 * The server name in a ClientHello (RFC 8446 4.1.2, RFC 6066 3), which may be cut into several TLS records. A hello
 * that names no server, names it encrypted, or is none, is refused.
 */
export function readServerName(bytes: Buffer): Hello {
  const message: Buffer[] = [];
  let have = 0;
  /** Of the message with its head, as far as that is known. */
  let size = 4;
  for (let at = 0; ;) {
    if (bytes.length < at + 5) return more(at + 5 + size - have);
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3) return refused('no TLS handshake');
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > 16384) return refused('no TLS handshake');
    if (bytes.length < at + 5 + length) return more(at + 5 + Math.max(length, size - have));
    message.push(bytes.subarray(at + 5, at + 5 + length));
    have += length;
    at += 5 + length;
    if (have < size) continue;
    const hello = Buffer.concat(message);
    if (hello[0] !== CLIENT_HELLO) return refused('no TLS handshake');
    size = 4 + hello.readUIntBE(1, 3);
    if (have >= size) return readHello(hello.subarray(4, size));
  }
}

/** Reads vectors, and throws a RangeError where one is longer than what is left. */
class Reader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  number(size: 1 | 2): number {
    const value = this.bytes.readUIntBE(this.at, size);
    this.at += size;
    return value;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  vector(size: 1 | 2): Reader {
    return new Reader(this.take(this.number(size)));
  }
}

function readHello(body: Buffer): Hello {
  try {
    const hello = new Reader(body);
    hello.take(2 + 32);
    hello.vector(1);
    hello.vector(2);
    hello.vector(1);
    const names: string[] = [];
    const extensions = hello.left === 0 ? new Reader(Buffer.alloc(0)) : hello.vector(2);
    if (hello.left > 0) return refused('a broken TLS hello');
    while (extensions.left > 0) {
      const type = extensions.number(2);
      const content = extensions.vector(2);
      if (ENCRYPTED.includes(type)) return refused('an encrypted server name');
      if (type === SERVER_NAME) names.push(...readNames(content));
    }
    const [name] = names;
    if (name === undefined) return refused('no server name');
    return names.length === 1 ? { kind: 'name', name } : refused('several server names');
  } catch {
    return refused('a broken TLS hello');
  }
}

function readNames(content: Reader): string[] {
  const list = content.vector(2);
  if (content.left > 0) throw new RangeError();
  const names: string[] = [];
  while (list.left > 0) {
    const type = list.number(1);
    const name = list.vector(2);
    if (type === HOST_NAME) names.push(name.take(name.left).toString('latin1'));
  }
  return names;
}
