import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { sha256 } from '../../src/model/digest.js';
import { INDEX } from './tiny-image.js';

/** A registry in front of another, with the referrers API of OCI 1.1, which that one lacks. */
export interface ReferrersProxy {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** How often referrers were asked for. */
  questions(): number;
  /** Forgets every referrer, as somebody who may write to the registry can delete them. */
  forget(): void;
  stop(): Promise<void>;
}

interface Manifest {
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config?: { readonly mediaType?: string };
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: { readonly digest: string };
}

/** Starts it: manifests with a `subject` are remembered and listed; everything else goes through. */
export async function startReferrersProxy(behind: string): Promise<ReferrersProxy> {
  const referrers = new Map<string, Map<string, object>>();
  let questions = 0;
  const remember = (path: string, bytes: Buffer): string | null => {
    const manifest = JSON.parse(bytes.toString()) as Manifest;
    const subject = manifest.subject?.digest;
    if (subject === undefined) return null;
    const digest = sha256(bytes);
    const list = referrers.get(`${path}@${subject}`) ?? new Map<string, object>();
    referrers.set(`${path}@${subject}`, list);
    const { mediaType, annotations = {}, config } = manifest;
    const artifactType = manifest.artifactType ?? config?.mediaType;
    list.set(digest, { mediaType, artifactType, digest, size: bytes.length, annotations });
    return subject;
  };
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = incoming.url ?? '';
    const asked = /^\/v2\/(.+)\/referrers\/(sha256:[0-9a-f]{64})/.exec(url);
    if (asked) {
      questions += 1;
      const manifests = [...(referrers.get(`${asked[1]}@${asked[2]}`)?.values() ?? [])];
      response.setHeader('content-type', INDEX);
      response.end(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
      return;
    }
    const body = await buffer(incoming);
    const put = incoming.method === 'PUT' ? /^\/v2\/(.+)\/manifests\//.exec(url) : null;
    const subject = put ? remember(put[1] ?? '', body) : null;
    // The name that was asked for stays, so that answers point here and not behind.
    const headers = { ...incoming.headers, 'content-length': String(body.length) };
    delete headers['transfer-encoding'];
    const forwarded = send(`http://${behind}${url}`, { method: incoming.method, headers });
    forwarded.on('error', () => response.destroy());
    forwarded.end(body);
    const [received] = (await once(forwarded, 'response')) as [IncomingMessage];
    response.writeHead(received.statusCode ?? 502, {
      ...received.headers,
      ...(subject !== null && { 'oci-subject': subject }),
    });
    received.pipe(response);
  };
  const server = createServer((incoming, response) => {
    answer(incoming, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    questions: () => questions,
    forget: () => referrers.clear(),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
