import { beforeEach, expect, test } from '@jest/globals';
import { pullImage, type PullTools } from '../../../src/flows/pull-image.js';
import { admitSeal } from '../../../src/flows/trust-seal.js';
import { hexOf, sha256, type Digest } from '../../../src/model/digest.js';
import type { Policy } from '../../../src/model/policy.js';
import { parseReference, type DigestReference } from '../../../src/model/reference.js';
import { computeSeal, formatTag, type ImageFacts, type IndexEntry } from '../../../src/model/sealed-image.js';
import { decodeLabels } from '../../../src/model/sealed-labels.js';
import { createFakeRegistry } from '../../support/fake-registry.js';
import { createFakeSignatureVerifier } from '../../support/fake-signature-verifier.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { loadPolicies, signerRule } from '../../support/policy.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';
import { makeTinyImage } from '../../support/tiny-image.js';
import { cleanFolders } from '../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-01T00:00:00Z');
const REPOSITORY = 'r.example/sandboxes/job';
const KEY = { kind: 'file', path: 'key' } as const;

let image: ImageFacts;
let seal: Digest;
let reference: DigestReference;
let signers: string;
let store: ReturnType<typeof createMemoryRecordStore>;
let warnings: string[];
let verifier: ReturnType<typeof createFakeSignatureVerifier>;
let tools: (policy: Policy) => PullTools;

/** A registry with one sealed image, signed and with its provenance, and an engine that has it already. */
beforeEach(async () => {
  const config = makeImage().config as Readonly<Record<string, unknown>>;
  const tiny = await makeTinyImage({ config });
  image = { ...makeImage(), diffIds: [sha256(tiny.blobs[1] ?? '')] };
  seal = computeSeal(image);
  const { registry, path } = parseReference(REPOSITORY);
  reference = { registry, path, digest: tiny.digest };
  const fakeRegistry = createFakeRegistry();
  fakeRegistry.put(REPOSITORY, 'latest', tiny);
  verifier = createFakeSignatureVerifier();
  signers = signerRule('r.example/sandboxes/*', '      transparencyLog: none\n', verifier.addKey('key'));
  await verifier.sign(reference, KEY, { seal });
  await verifier.attest(reference, KEY, 'slsaprovenance1', {
    buildDefinition: {
      resolvedDependencies: [
        {
          name: 'base',
          uri: 'pkg:oci/node?repository_url=r.example%2Fbase%2Fnode',
          digest: { sha256: hexOf(decodeLabels(image.config.Labels ?? {}).baseDigest) },
        },
        { name: 'base index', digest: { sha256: hexOf(sha256('index')) } },
      ],
    },
    runDetails: { byproducts: [{ name: 'seal', digest: { sha256: hexOf(seal) } }] },
  });
  store = createMemoryRecordStore();
  warnings = [];
  tools = (policy) =>
    ({
      store,
      registry: fakeRegistry,
      verifier,
      clock: { now: () => NOW },
      reporter: {
        step: () => undefined,
        debug: () => undefined,
        done: () => undefined,
        warn: (text: string) => warnings.push(text),
      },
      loadPolicy: () => Promise.resolve(policy),
      images: {
        platform: () => Promise.resolve(image.platform),
        inspect: () => Promise.resolve(image),
      },
    }) as unknown as PullTools;
});

const policyOf = (more = '', attestations = '[]'): Promise<Policy> =>
  loadPolicies(
    `sealed:\n  attestations: ${attestations}\n  signers:\n${signers.replace(/^/gm, '  ').trimEnd()}\n${more}`,
  );
const deny = (word: string): string => `deny: { digests: ["${sha256(word)}"] }\n`;

test('what an operator vouched for and then pulls counts by its signature, also while digests are denied', async () => {
  const imported: IndexEntry['imported'] = { at: '2026-01-01T00:00:00Z', trustedBy: 'hand' };
  await store.saveImage(makeEntry('job', { seal, tag: formatTag('job', '1.0.0', seal), imported }));
  const policy = await policyOf(deny('another index'));
  expect(await pullImage(`${REPOSITORY}@${reference.digest}`, tools(policy))).toMatchObject({
    seal,
    wasKnown: true,
  });
  expect(warnings).toEqual([expect.stringContaining('from now on it is by its signature')]);

  const entry = (await store.findImageBySeal(seal))!;
  const labels = decodeLabels(image.config.Labels ?? {});
  expect(entry.imported).toEqual({ ...imported, trustedBy: 'signature' });
  expect(await admitSeal({ entry, labels }, policy, tools(policy))).toMatchObject({ waived: [] });
  // And what it was signed over is denied.
  await expect(
    admitSeal({ entry, labels }, await policyOf(deny('index')), tools(policy)),
  ).rejects.toMatchObject({
    code: 'BASE_DENIED',
  });
});

test('the base of what others made is the one that the signed provenance names, whatever an export claimed', async () => {
  const pull = async (imported?: IndexEntry['imported']): Promise<IndexEntry['base'] | undefined> => {
    const claimed = makeEntry('job', { seal, tag: formatTag('job', '1.0.0', seal) });
    await store.saveImage({ ...claimed, ...(imported && { imported }) });
    await pullImage(`${REPOSITORY}@${reference.digest}`, tools(await policyOf()));
    return (await store.findImageBySeal(seal))?.base;
  };
  const { base } = makeEntry('job');
  const signed = { ...base, image: 'r.example/base/node', digest: sha256('index') };
  expect(signed).not.toEqual(base);
  const at = '2026-01-01T00:00:00Z';
  expect(await pull({ at, trustedBy: 'hand' })).toEqual(signed);
  expect(await pull({ at, trustedBy: 'signature' })).toEqual(signed);
  // What was verified or built here is known better than by anybody's word.
  expect(await pull({ at, trustedBy: 'hand', isBaseVerified: true })).toEqual(base);
  expect(await pull()).toEqual(base);

  await store.removeImage(seal);
  await pullImage(`${REPOSITORY}@${reference.digest}`, tools(await policyOf()));
  expect((await store.findImageBySeal(seal))?.base).toMatchObject({
    image: 'r.example/base/node',
    digest: sha256('index'),
  });
});

test('an image that the engine would have to emulate is not pulled, whoever signed it', async () => {
  const { images, ...rest } = tools(await policyOf());
  const engine = { ...images, platform: () => Promise.resolve({ os: 'linux', architecture: 'riscv64' }) };
  await expect(
    pullImage(`${REPOSITORY}@${reference.digest}`, { ...rest, images: engine }),
  ).rejects.toMatchObject({ code: 'SEAL_PLATFORM_MISMATCH' });
  expect(await store.listImages()).toEqual([]);
});

test('a bill of materials that another tool wrote is said to be its word', async () => {
  await verifier.attest(reference, KEY, 'spdxjson', { packages: [{ name: 'anything' }] });
  await pullImage(`${REPOSITORY}@${reference.digest}`, tools(await policyOf('', '[spdxjson]')));
  expect(warnings).toEqual([
    'the bill of materials spdxjson was not compared with what is there: sjs did not write it',
  ]);
});
