import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { canonicalJson } from '../../src/model/canonical-json.js';
import type { Digest } from '../../src/model/digest.js';
import { MANIFEST, putManifest } from './tiny-image.js';

/** A transparency log of one's own: a key that promises entries, as Rekor's does. */
export interface TransparencyLog {
  /** PEM of its public key. */
  readonly publicKey: string;
  /** Enters the signature that cosign 2 put under the image's tag, and puts the promise beside it. */
  enterSignature(host: string, path: string, digest: Digest, signer: string): Promise<void>;
}

interface Manifest {
  readonly layers: readonly { readonly digest: string; readonly annotations: Record<string, string> }[];
}

const base64 = (bytes: string | Buffer): string => Buffer.from(bytes).toString('base64');
const hash = (bytes: string | Buffer): Buffer => createHash('sha256').update(bytes).digest();

/** Makes the log; `signer` is the PEM of the public key or certificate that verifies the entered signature. */
export function makeTransparencyLog(): TransparencyLog {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const logId = hash(publicKey.export({ type: 'spki', format: 'der' }));
  const signBytes = (bytes: string): Buffer => sign('sha256', Buffer.from(bytes), privateKey);
  const promise = (entry: object) => {
    const payload = {
      body: base64(canonicalJson(entry)),
      integratedTime: Math.floor(Date.now() / 1000),
      logID: logId.toString('hex'),
      logIndex: 0,
    };
    return { payload, timestamp: signBytes(canonicalJson(payload)).toString('base64') };
  };
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    async enterSignature(host, path, digest, signer) {
      const tag = `${digest.replace(':', '-')}.sig`;
      const manifest = JSON.parse((await get(host, path, `manifests/${tag}`)).toString()) as Manifest;
      const layers = manifest.layers.map((layer) => {
        const { payload, timestamp } = promise({
          apiVersion: '0.0.1',
          kind: 'hashedrekord',
          spec: {
            data: { hash: { algorithm: 'sha256', value: layer.digest.replace('sha256:', '') } },
            signature: {
              content: layer.annotations['dev.cosignproject.cosign/signature'],
              publicKey: { content: base64(signer) },
            },
          },
        });
        const bundle = JSON.stringify({ SignedEntryTimestamp: timestamp, Payload: payload });
        return { ...layer, annotations: { ...layer.annotations, 'dev.sigstore.cosign/bundle': bundle } };
      });
      await putManifest(host, path, tag, MANIFEST, Buffer.from(JSON.stringify({ ...manifest, layers })));
    },
  };
}

async function get(host: string, path: string, what: string): Promise<Buffer> {
  const headers = { accept: MANIFEST };
  const response = await fetch(`http://${host}/v2/${path}/${what}`, { headers });
  if (!response.ok) throw new Error(`${what}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
