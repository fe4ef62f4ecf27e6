import { beforeEach, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { rebaseImage, type RebaseTools } from '../../../src/flows/rebase-image.js';
import type { Policy } from '../../../src/model/policy.js';
import { parseReference } from '../../../src/model/reference.js';
import { computeSeal, formatTag, type ImageFacts, type IndexEntry } from '../../../src/model/sealed-image.js';
import { createFakeRegistry } from '../../support/fake-registry.js';
import { createFakeSignatureVerifier } from '../../support/fake-signature-verifier.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { loadPolicies, signerRule } from '../../support/policy.js';
import { makeEntry } from '../../support/records.js';
import { sha256 } from '../../../src/model/digest.js';
import { DEFAULT_RESOURCES } from '../../../src/model/sandbox.js';
import { renderDockerfile } from '../../../src/stages/render/render-dockerfile.js';
import { makeBase, makeImage, makeSandbox } from '../../support/sandbox.js';
import { makeTinyImage, type TinyImage } from '../../support/tiny-image.js';
import { cleanFolders } from '../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-01T00:00:00Z');
const REPOSITORY = 'registry.example.com/base/node';
const { registry, path } = parseReference(REPOSITORY);
const sealed = makeImage();

const entryOf = (image: ImageFacts, overrides: Partial<IndexEntry> = {}): IndexEntry => {
  const seal = computeSeal(image);
  return makeEntry('job', { seal, tag: formatTag('job', '1.0.0', seal), ...overrides });
};
const own = entryOf(sealed, { lockedIn: '/jobs/job' });

let patched: TinyImage;
let rules: string;
let store: ReturnType<typeof createMemoryRecordStore>;
/** What the engine has, by name. */
let images: Record<string, unknown>;
let tools: (policy: Policy, more?: Partial<typeof store>) => RebaseTools;

/** A machine with one sealed image, and a registry with a patched base that is signed. */
beforeEach(async () => {
  patched = await makeTinyImage();
  const fakeRegistry = createFakeRegistry();
  fakeRegistry.put(REPOSITORY, '24.1.1', patched);
  const verifier = createFakeSignatureVerifier();
  const key = verifier.addKey('key');
  const signed = { dockerReference: REPOSITORY, annotations: { version: '24.1.1' } };
  verifier.addSignature({ registry, path, digest: patched.digest }, key, signed);
  rules = `bases:\n${signerRule(REPOSITORY, '      transparencyLog: none\n', key)}`;
  store = createMemoryRecordStore();
  await store.saveImage(own);
  images = {
    [own.tag]: sealed,
    [`${REPOSITORY}@${own.base.manifestDigest}`]: { ...sealed, diffIds: makeBase().diffIds, config: {} },
  };
  const template = await readFile('templates/node.Dockerfile', 'utf8');
  tools = (policy, more) =>
    ({
      store: { ...store, ...more },
      registry: fakeRegistry,
      verifier,
      clock: { now: () => NOW },
      reporter: { step: () => undefined, debug: () => undefined, done: () => undefined },
      loadPolicy: () => Promise.resolve(policy),
      assets: () => Promise.resolve({ template, seccompProfile: 'profile' }),
      images: {
        platform: () => Promise.resolve(sealed.platform),
        inspect: (name: string) => Promise.resolve(images[name] ?? null),
      },
    }) as unknown as RebaseTools;
});

/** What was made of it before, as the index has it. */
async function saveRebased(overrides: Partial<IndexEntry> = {}): Promise<IndexEntry> {
  const image = makeImage({ args: ['rebased'] }, makeBase({ manifestDigest: patched.digest }));
  const base = { ...own.base, manifestDigest: patched.digest };
  const entry = entryOf(image, { base, rebasedFrom: own.seal, ...overrides });
  await store.saveImage(entry);
  images[entry.tag] = image;
  return entry;
}

const request = () => ({ image: REPOSITORY, digest: patched.digest });

test('a denied base is waived for the folder of what is rebased, and not for its seal alone', async () => {
  const rebased = await saveRebased();
  const known = { findImageByInputs: () => Promise.resolve(rebased) };
  const rebase = async (scope: object) => {
    const waiver = { sandbox: 'job', rule: 'deny.digests', until: '2026-07-01', reason: 'x', ...scope };
    const denying = `deny: { digests: ["${patched.digest}"] }\nwaivers: [${JSON.stringify(waiver)}]\n`;
    return rebaseImage(own.tag, request(), tools(await loadPolicies(rules + denying), known));
  };
  await expect(rebase({ seal: own.seal })).rejects.toMatchObject({ code: 'BASE_DENIED' });
  expect(await rebase({ folder: '/jobs/job' })).toMatchObject({ seal: rebased.seal });
});

test('what was rebased before is in use again, and stands on the base that was verified last', async () => {
  // The copy by its inputs is older than the entry: that was pushed since.
  const stale = await saveRebased();
  const pushed = [{ repository: 'r.example/job', digest: sealed.diffIds[0]!, at: '', publicKey: null }];
  await store.saveImage({ ...stale, pushed });
  const found = { findImageByInputs: () => Promise.resolve(stale) };
  const base = { ...stale.base, digest: patched.digest, version: '24.1.1' };
  expect(stale.base).not.toEqual(base);
  expect(await rebaseImage(own.tag, request(), tools(await loadPolicies(rules), found))).toMatchObject({
    cached: true,
    base,
  });
  expect(await store.findImageBySeal(stale.seal)).toEqual({
    ...stale,
    pushed,
    base,
    usedAt: new Date(NOW).toISOString(),
  });
});

test('what an older sjs sealed is rebased as it is: without what calls functions', async () => {
  const base = makeBase({ manifestDigest: patched.digest });
  const render = (callable: boolean) =>
    renderDockerfile(
      readFileSync('templates/node.Dockerfile', 'utf8'),
      makeSandbox(),
      base,
      DEFAULT_RESOURCES,
      sha256('profile'),
      null,
      own.seal,
      callable,
    );
  expect([render(true).labels.plan.call, render(false).labels.plan.call]).toEqual([1, undefined]);
  const older = { ...sealed, config: { ...sealed.config, Labels: withoutCall(sealed.config.Labels) } };
  const entry = entryOf(older, { lockedIn: '/jobs/job' });
  await store.saveImage(entry);
  images[entry.tag] = older;
  let asked = '';
  const known = {
    findImageByInputs: (inputs: string) => {
      asked = inputs;
      return Promise.reject(new Error('looked up'));
    },
  };
  // It comes as far as the look for what was made of it before: the rights are those that are sealed.
  await expect(rebaseImage(entry.tag, request(), tools(await loadPolicies(rules), known))).rejects.toThrow(
    'looked up',
  );
  expect(asked).not.toBe('');
});

const withoutCall = (labels: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, text]) => [name, text.replace('"call":1,', '')]));
