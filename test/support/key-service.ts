import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { join } from 'node:path';
import { makeFolder } from './world.js';

/** A key service that speaks as much of AWS's as cosign asks: the key never leaves it. */
export interface KeyService {
  /** What cosign needs of the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly publicKey: string;
  /** What was asked for: `DescribeKey`, `GetPublicKey`, `Sign`. */
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

const ACCESS_KEY = 'AKIAEXAMPLE';

/** Starts it with one key, `awskms:///alias/<name>`. */
export async function startKeyService(name: string): Promise<KeyService> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const file = join(await makeFolder(), 'key.pem');
  await writeFile(file, privateKey, { mode: 0o600 });
  const requests: string[] = [];
  const KeyId = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const SigningAlgorithms = ['ECDSA_SHA_256'];
  const known = { KeyId, SigningAlgorithms, KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' };
  const answers: Readonly<Record<string, (asked: { Message?: string }) => object>> = {
    DescribeKey: () => ({ KeyMetadata: { ...known, Arn: KeyId, Enabled: true, KeyState: 'Enabled' } }),
    GetPublicKey: () => {
      const der = createPublicKey(publicKey).export({ type: 'spki', format: 'der' });
      return { ...known, PublicKey: der.toString('base64') };
    },
    Sign: ({ Message = '' }) => {
      const input = Buffer.from(Message, 'base64');
      const signature = execFileSync('openssl', ['pkeyutl', '-sign', '-inkey', file], { input });
      return { KeyId, Signature: signature.toString('base64'), SigningAlgorithm: 'ECDSA_SHA_256' };
    },
  };
  const server = createServer((request, response) => {
    const target = String(request.headers['x-amz-target']).replace('TrentService.', '');
    void json(request).then((body) => {
      const asked = body as { KeyId?: string; Message?: string };
      const isAllowed = (request.headers.authorization ?? '').includes(`Credential=${ACCESS_KEY}/`);
      const isKnown = [`alias/${name}`, KeyId].includes(asked.KeyId ?? '') && answers[target];
      requests.push(target);
      response.writeHead(isAllowed && isKnown ? 200 : 400, { 'content-type': 'application/x-amz-json-1.1' });
      const refusal = { __type: isAllowed ? 'NotFoundException' : 'AccessDeniedException' };
      response.end(JSON.stringify(isAllowed && isKnown ? isKnown(asked) : refusal));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    env: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: 'secret',
    },
    publicKey,
    requests,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
