/** What a connection begins with. */
export type Protocol = 'more' | 'tls' | 'http' | 'other' | 'broken';

/** No first line is longer; Node's limit for all headers. */
export const LONGEST_LINE = 16 * 1024;

/** Bytes of empty lines before the first. */
const MOST_EMPTY = 16;

/**
 * What the first bytes are the beginning of: a TLS handshake, an HTTP/1 request, or something else. What resembles HTTP
 * without being it is broken: a server may read it as the request that the gateway did not see.
 */
export function recognize(head: Buffer): Protocol {
  const start = head.findIndex((byte) => byte !== 0x0a && byte !== 0x0d);
  if (start < 0) return head.length > MOST_EMPTY ? 'broken' : 'more';
  if (start > 0) {
    // Servers pass over empty lines before a request (RFC 9112 2.2).
    const behind = recognize(head.subarray(start));
    return behind === 'http' || behind === 'tls' ? 'broken' : behind;
  }
  if (head[0] === 0x16) return head.length < 2 ? 'more' : head[1] === 3 ? 'tls' : 'other';
  const end = head.indexOf('\n');
  const line = head.toString('latin1', 0, end < 0 ? head.length : end + 1);
  if (/HTTP\/\d/i.test(line) && end >= 0)
    return /^[A-Z-]+ \S+ HTTP\/1\.[01]\r\n$/.test(line) ? 'http' : 'broken';
  if (end >= 0 || /[^\t\r -~]/.test(line)) return 'other';
  return head.length > LONGEST_LINE ? 'broken' : 'more';
}
