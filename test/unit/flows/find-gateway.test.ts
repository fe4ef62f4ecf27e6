import { expect, test } from '@jest/globals';
import type { Policy } from '../../../src/model/policy.js';
import { GATEWAY_NAME } from '../../../src/model/sandbox.js';
import type { IndexEntry, SealedImage } from '../../../src/model/sealed-image.js';
import { findGateway, type GatewayTools } from '../../../src/flows/find-gateway.js';

const egress = [{ name: 'a.test', port: 443, address: null }];
const sealed = {
  labels: { plan: { network: { mode: 'isolated', ports: [], egress } } },
} as unknown as SealedImage;

/** The code of what is thrown when the index has this one entry and the engine has no image. */
async function codeWith(entry: Partial<IndexEntry>): Promise<unknown> {
  const known = { name: GATEWAY_NAME, version: '1', tag: 'sjs/g:1', createdAt: '2026-01-01T00:00:00Z' };
  const tools = {
    store: { listImages: () => Promise.resolve([{ ...known, ...entry }]) },
    images: { inspect: () => Promise.resolve(null) },
    gatewayVersion: () => Promise.resolve('1'),
  } as unknown as GatewayTools;
  const finding = findGateway(sealed, {} as Policy, tools);
  return finding.then(
    () => null,
    ({ code }: { code: string }) => code,
  );
}

test('what was sealed elsewhere is no gateway, whatever its name is', async () => {
  expect(await codeWith({ imported: { at: '2026-01-01T00:00:00Z', trustedBy: 'hand' } })).toBe(
    'GATEWAY_MISSING',
  );
  expect(await codeWith({ version: '2' })).toBe('GATEWAY_MISSING');
  expect(await codeWith({})).toBe('SEAL_IMAGE_MISSING');
});
