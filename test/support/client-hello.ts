import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connect } from 'node:tls';

/** The first bytes that Node's own TLS sends. */
export async function helloOf(servername: string | undefined): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: '127.0.0.1', port, ...(servername !== undefined && { servername }) });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

/** The handshake message in one record each of `size` bytes. */
export function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

/** The hello with one more extension. */
export function withExtension(hello: Buffer, type: number, content: Buffer): Buffer {
  const body = Buffer.from(hello);
  const extension = Buffer.concat([
    Buffer.from([type >> 8, type & 255, content.length >> 8, content.length & 255]),
    content,
  ]);
  let at = 5 + 4 + 2 + 32;
  at += 1 + body[at]!;
  at += 2 + body.readUInt16BE(at);
  at += 1 + body[at]!;
  body.writeUInt16BE(body.readUInt16BE(at) + extension.length, at);
  body.writeUIntBE(body.readUIntBE(6, 3) + extension.length, 6, 3);
  body.writeUInt16BE(body.readUInt16BE(3) + extension.length, 3);
  return Buffer.concat([body, extension]);
}

/** The hello with another server name of the same length, whatever is in it. */
export function withName(hello: Buffer, name: string, other: string): Buffer {
  const at = hello.indexOf(name, 0, 'latin1');
  if (at < 0 || name.length !== other.length) throw new Error('the name cannot be put there');
  const changed = Buffer.from(hello);
  changed.write(other, at, 'latin1');
  return changed;
}
