import { expect, test } from '@jest/globals';
import { findGateway } from '../../../src/flows/find-gateway.js';
import { sha256 } from '../../../src/model/digest.js';
import type { Policy } from '../../../src/model/policy.js';
import { GATEWAY_NAME } from '../../../src/model/sandbox.js';
import { FORMAT_VERSION, type IndexEntry, type SealedImage } from '../../../src/model/sealed-image.js';
import { noSandbox } from '../../../src/model/waiver.js';
import type { ImageStore } from '../../../src/ports/image-store.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';

const VERSION = '0.0.0-p000000000000';
const sealed = {
  labels: { plan: { network: { mode: 'isolated', ports: [], egress: [{ name: 'a.test', port: 443 }] } } },
} as unknown as SealedImage;
const policy: Policy = { layers: [], digest: sha256('policy') };

/** Looks for a gateway among these entries; the engine has no image of any. */
async function find(...entries: readonly Partial<IndexEntry>[]): Promise<unknown> {
  const store = createMemoryRecordStore();
  for (const [at, entry] of entries.entries()) {
    const seal = sha256(String(at));
    await store.saveImage({
      formatVersion: FORMAT_VERSION,
      seal,
      tag: `sjs/${GATEWAY_NAME}:${VERSION}-${at}`,
      name: GATEWAY_NAME,
      version: VERSION,
      imageId: '',
      inputs: seal,
      base: { image: 'base', version: null, digest: seal, manifestDigest: seal },
      createdAt: '2026-01-01T00:00:00Z',
      ...entry,
    });
  }
  const images = { inspect: () => Promise.resolve(null) } as unknown as ImageStore;
  const tools = { store, images, gatewayVersion: () => Promise.resolve(VERSION) };
  return findGateway(sealed, noSandbox(0), policy, tools).catch((error: unknown) => error);
}

test('a gateway that was sealed elsewhere is never used, however new it is', async () => {
  const imported = { at: '2026-01-02T00:00:00Z', trustedBy: 'hand' } as const;
  expect(await find({ imported })).toMatchObject({ code: 'GATEWAY_MISSING' });
  const error = await find({}, { imported, createdAt: '2026-01-02T00:00:00Z' });
  expect(error).toMatchObject({ code: 'SEAL_IMAGE_MISSING' });
  expect(String(error)).toContain(`${VERSION}-0`);
});
