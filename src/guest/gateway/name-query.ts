const A = 1;
const IN = 1;
const NO_SUCH_NAME = 3;

/** One question for a name. */
export interface NameQuery {
  readonly name: string;
  /** Whether an IPv4 address is asked for. */
  readonly wantsAddress: boolean;
  /** Header and question, to be repeated in the answer. */
  readonly question: Buffer;
}

/** The question in a DNS message (RFC 1035 4.1); null for what is no plain query of one name. */
export function readQuery(message: Buffer): NameQuery | null {
  if (message.length < 17 || message.length > 512) return null;
  const isPlainQuery = (message.readUInt16BE(2) & 0xf800) === 0 && message.readUInt16BE(4) === 1;
  if (!isPlainQuery) return null;
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = message[at];
    // Names in questions are not compressed.
    if (length === undefined || length > 63) return null;
    at += 1;
    if (length === 0) break;
    labels.push(message.toString('latin1', at, at + length));
    at += length;
  }
  if (message.length < at + 4) return null;
  const [type, kind] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
  const question = message.subarray(0, at + 4);
  return { name: labels.join('.'), wantsAddress: type === A && kind === IN, question };
}

/** The answer: the address, `none` of a name that has no such record, or `no-such-name`. */
export function answerQuery({ question }: NameQuery, answer: string): Buffer {
  const header = Buffer.from(question);
  // A response, authoritative; recursion desired is repeated, recursion available.
  header.writeUInt16BE(
    0x8480 | (header.readUInt16BE(2) & 0x0100) | (answer === 'no-such-name' ? NO_SUCH_NAME : 0),
    2,
  );
  const hasAddress = answer !== 'none' && answer !== 'no-such-name';
  header.writeUInt16BE(hasAddress ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  if (!hasAddress) return header;
  const record = Buffer.from([0xc0, 12, 0, A, 0, IN, 0, 0, 0, 60, 0, 4, ...answer.split('.').map(Number)]);
  return Buffer.concat([header, record]);
}
