import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { parseRecord } from '../../../src/adapters/store/record-shape.js';
import { SjsError, type ErrorCode } from '../../../src/errors.js';
import { importImage, type ImportTools } from '../../../src/flows/import-image.js';
import { sha256, type Digest } from '../../../src/model/digest.js';
import { EXPORT_FORMAT_VERSION, EXPORT_LIMITS } from '../../../src/model/export-file.js';
import type { Policy } from '../../../src/model/policy.js';
import { NO_OWNER, type RunRecord } from '../../../src/model/record.js';
import { GATEWAY_NAME, type Sandbox } from '../../../src/model/sandbox.js';
import { computeSeal, formatTag, LABELS, type ImageFacts } from '../../../src/model/sealed-image.js';
import type { RecordStore } from '../../../src/ports/record-store.js';
import { createFakeRegistry, type FakeRegistry } from '../../support/fake-registry.js';
import { createFakeSignatureVerifier } from '../../support/fake-signature-verifier.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import type { BuildFacts } from '../../../src/model/build-facts.js';
import { decodeLabels } from '../../../src/model/sealed-labels.js';
import { loadPolicies, signerRule } from '../../support/policy.js';
import { makeRecord } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-01T00:00:00Z');
const DAY_MS = 24 * 3_600_000;
/** Crockford's base 32, of which the first ten digits of an id are its time. */
const idAt = (timeMs: number): string =>
  timeMs
    .toString(32)
    .padStart(10, '0')
    .replace(/[a-v]/g, (digit) => 'ABCDEFGHJKMNPQRSTVWXYZ'.charAt(digit.charCodeAt(0) - 97))
    .padEnd(26, '0');

interface World {
  readonly tools: ImportTools;
  readonly store: RecordStore;
  readonly registry: FakeRegistry;
  readonly warnings: string[];
  /** How often the engine was given an image. */
  readonly loads: () => number;
}

/** A machine without any image, under a policy of one layer. */
function makeWorld(image: ImageFacts, deniedDigests: readonly Digest[] = []): World {
  let tags: string[] = [];
  let loads = 0;
  const warnings: string[] = [];
  const store: RecordStore = { ...createMemoryRecordStore(), parseRecord };
  const registry = createFakeRegistry();
  const policy = {
    layers: [{ origin: 'operator', file: '/policy.yaml', deniedDigests, defaults: {}, waivers: [] }],
  };
  const reporter = {
    step: () => undefined,
    debug: () => undefined,
    warn: (text: string) => warnings.push(text),
  };
  const gatewaySource = { directory: '/gateway', file: 'gateway.cjs', digest: sha256('gateway') };
  const tools = {
    store,
    registry,
    verifier: createFakeSignatureVerifier(),
    clock: { now: () => NOW },
    reporter,
    owner: () => Promise.resolve(makeRecord().owner),
    createId: () => 'abcdef012345',
    loadPolicy: () => Promise.resolve(policy as unknown as Policy),
    build: { gatewaySource: () => Promise.resolve(gatewaySource) },
    images: {
      platform: () => Promise.resolve(image.platform),
      inspect: (name: string) => Promise.resolve(tags.includes(name) ? image : null),
      load: async (open: () => Readable) => {
        loads += 1;
        open().resume();
        await Promise.resolve((tags = ['*']));
      },
      tag: (_id: string, name: string) => Promise.resolve(tags.push(name)),
      remove: (name: string) => Promise.resolve((tags = tags.filter((tag) => tag !== name)).length > 0),
    },
  };
  // What was loaded is under the tag that the flow made up.
  const inspect = tools.images.inspect;
  tools.images.inspect = (name) =>
    tags[0] === '*' && name.includes('building') ? inspect('*') : inspect(name);
  return { tools: tools as unknown as ImportTools, store, registry, warnings, loads: () => loads };
}

interface Contents {
  readonly image: ImageFacts;
  readonly records: readonly RunRecord[];
  readonly base: object;
  readonly files: readonly (readonly [name: string, content: string])[];
}

const sealOf = (image: ImageFacts): Digest => computeSeal(image);
const tagOf = (image: ImageFacts): string => formatTag('job', '1.0.0', sealOf(image));
const manifestOf = ({ image, records, base }: Contents): string =>
  JSON.stringify({
    formatVersion: EXPORT_FORMAT_VERSION,
    entry: {
      seal: sealOf(image),
      tag: 'sjs/other:1',
      name: 'other',
      version: null,
      base,
      createdAt: '2026-01-01T00:00:00.000Z',
    },
    runs: records.map(({ id }) => id),
    contents: [],
  });

const BASE = {
  image: 'registry.example.com/base/node',
  digest: sha256('index'),
  manifestDigest: sha256('claimed'),
  version: '99.0.0',
};

/** An export as sjs writes it; `change` puts other files in. */
async function makeExport(
  given: Partial<Contents>,
  change: (files: Contents['files']) => Contents['files'] = (files) => files,
): Promise<string> {
  const contents: Contents = { image: makeImage(), records: [], base: BASE, files: [], ...given };
  const { image, records } = contents;
  const { platform, diffIds, config } = image;
  const files: Contents['files'] = [
    ['sjs/export.json', manifestOf(contents)],
    ...records.map((record) => [`sjs/runs/${record.id}.json`, JSON.stringify(record)] as const),
    ['manifest.json', JSON.stringify([{ Config: 'config', Layers: ['0', '1'] }])],
    ['config', JSON.stringify({ ...platform, rootfs: { diff_ids: diffIds }, config })],
    ['0', 'layer'],
    ['1', 'app'],
  ];
  const file = join(await makeFolder(), 'job.tar');
  const archive = pack();
  for (const [name, content] of change(files)) archive.entry({ name }, content);
  archive.finalize();
  await pipeline(archive as unknown as Readable, createWriteStream(file));
  return file;
}

const image = makeImage();
const runAt = (timeMs: number, overrides: Partial<RunRecord> = {}): RunRecord => {
  const at = new Date(timeMs).toISOString();
  const [seal, tag] = [sealOf(image), tagOf(image)];
  return makeRecord({
    id: idAt(timeMs),
    seal,
    tag,
    createdAt: at,
    startedAt: at,
    finishedAt: at,
    ...overrides,
  });
};

test('what comes in says so, and of itself what its labels say; nobody owns its runs', async () => {
  const { tools, store, loads } = makeWorld(image);
  const record = runAt(NOW - DAY_MS, {
    owner: { bootId: 'b', pid: 7, startTime: '1', home: '/home/ada/sjs' },
  });
  const file = await makeExport({ records: [record] });
  await expect(importImage(file, null, tools)).rejects.toMatchObject({ code: 'SEAL_UNTRUSTED' });
  expect(loads()).toBe(0);
  expect(await importImage(file, sealOf(image), tools)).toEqual({
    tag: tagOf(image),
    seal: sealOf(image),
    wasKnown: false,
    runs: [record.id],
  });
  expect(await store.listImages()).toMatchObject([
    {
      name: 'job',
      version: '1.0.0',
      base: { ...BASE, manifestDigest: sha256('manifest'), version: '24.1.0' },
      imported: { trustedBy: 'hand' },
    },
  ]);
  expect(await store.findRecord(record.id)).toEqual({
    ...record,
    owner: NO_OWNER,
    imported: { at: new Date(NOW).toISOString() },
  });
});

test('an image that the engine would have to emulate stays out, whoever vouches for it', async () => {
  const { tools, store, loads } = makeWorld(image);
  const foreign = { ...image, platform: { os: 'linux', architecture: 'riscv64' } };
  const file = await makeExport({ image: foreign });
  await expect(importImage(file, sealOf(foreign), tools)).rejects.toMatchObject({
    code: 'SEAL_PLATFORM_MISMATCH',
  });
  expect([loads(), await store.listImages()]).toEqual([0, []]);
});

test.each<[string, Partial<RunRecord>, string]>([
  ['an id from the future', { id: `7${'Z'.repeat(25)}` }, 'has an id from the future'],
  ['another time than its id', { createdAt: '2026-01-01T00:00:00.000Z' }, 'another time than its id'],
  ['the tag of another image', { tag: 'sjs/mine:1.0.0-0123456789ab' }, 'is of another seal'],
  ['another seal', { seal: sha256('other') }, 'is of another seal'],
  ['no end', { finishedAt: null }, 'is not over'],
  ['an open state', { state: 'running' }, 'is not over'],
])('a record with %s is refused with all of its file', async (_what, overrides, why) => {
  const { tools, store, loads } = makeWorld(image);
  const records = [runAt(NOW - 2 * DAY_MS), runAt(NOW - DAY_MS, overrides)];
  await expect(importImage(await makeExport({ records }), sealOf(image), tools)).rejects.toMatchObject({
    code: 'IMPORT_INVALID',
    message: expect.stringContaining(why),
  });
  expect(loads()).toBe(0);
  expect(await store.listRecords({})).toEqual([]);
});

test('clocks of two machines differ', async () => {
  const { tools } = makeWorld(image);
  const records = [runAt(NOW + 60_000), runAt(NOW, { createdAt: new Date(NOW + 1000).toISOString() })];
  const { runs } = await importImage(await makeExport({ records }), sealOf(image), tools);
  expect(runs).toHaveLength(2);
});

describe('labels are looked at before the engine is given anything', () => {
  const relabelled = (label: string, text: string): ImageFacts => ({
    ...image,
    config: { ...image.config, Labels: { ...image.config.Labels, [label]: text } },
  });
  test.each<[string, ImageFacts, string]>([
    ['rights that nobody understands', relabelled(LABELS.plan, '{}'), 'run plan'],
    ['a user that could be root', { ...image, config: { ...image.config, User: '0:0' } }, 'its user is 0:0'],
    ['the name of the gateway', relabelled(LABELS.name, GATEWAY_NAME), 'the gateway of another sjs'],
  ])('%s', async (_what, forged, why) => {
    const { tools, store, loads } = makeWorld(forged);
    const file = await makeExport({ image: forged });
    await expect(importImage(file, sealOf(forged), tools)).rejects.toMatchObject({
      code: 'SEAL_REFUSED',
      message: expect.stringContaining(why),
    });
    expect(loads()).toBe(0);
    expect(await store.listImages()).toEqual([]);
  });
});

describe('memory', () => {
  const tools = makeWorld(image).tools;

  test('records that the manifest does not name are passed over', async () => {
    const huge = 'x'.repeat(EXPORT_LIMITS.textBytes + 1);
    const file = await makeExport({}, (files) => [
      ...files.slice(0, 1),
      [`sjs/runs/${idAt(NOW)}.json`, huge],
      [`sjs/runs/${idAt(NOW)}.json`, huge],
      ...files.slice(1),
    ]);
    expect(await importImage(file, sealOf(image), tools)).toMatchObject({ runs: [] });
  });

  test('the manifest comes before the records', async () => {
    const file = await makeExport({ records: [runAt(NOW)] }, ([first, ...others]) => [...others, first!]);
    await expect(importImage(file, sealOf(image), tools)).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
      message: expect.stringContaining(`it has no sjs/runs/${idAt(NOW)}.json`),
    });
  });

  test('a manifest that names a run twice is none', async () => {
    const record = runAt(NOW);
    const file = await makeExport({ records: [record, record] }, (files) =>
      files.filter((_, at) => at !== 2),
    );
    await expect(importImage(file, sealOf(image), tools)).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
      message: expect.stringContaining('sjs/export.json is not what sjs writes'),
    });
  });

  test('records that are too large together are refused by their sizes alone', async () => {
    const records = [runAt(NOW - 1), runAt(NOW)];
    const file = join(await makeFolder(), 'job.tar');
    const archive = pack();
    archive.entry({ name: 'sjs/export.json' }, manifestOf({ image, records, base: BASE, files: [] }));
    // The header says that so much follows; the disk has a hole there.
    archive.entry({ name: `sjs/runs/${records[0]?.id}.json`, size: EXPORT_LIMITS.recordsBytes + 1 });
    const header: Buffer[] = [];
    (archive as unknown as Readable).on('data', (chunk: Buffer) => header.push(chunk));
    await new Promise((resolve) => setImmediate(resolve));
    const bytes = Buffer.concat(header);
    await pipeline([bytes], createWriteStream(file));
    await truncate(file, bytes.length + EXPORT_LIMITS.recordsBytes + 4096);
    await expect(importImage(file, sealOf(image), tools)).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
      message: expect.stringContaining('its records are too large'),
    });
  });
});

describe('while the policy denies digests', () => {
  test('a base that nobody here trusts is refused, and its registry is not asked', async () => {
    const { tools, store, registry, loads } = makeWorld(image, [sha256('denied index')]);
    const file = await makeExport({ base: { ...BASE, digest: sha256('some other index') } });
    await expect(importImage(file, sealOf(image), tools)).rejects.toMatchObject({ code: 'BASE_UNTRUSTED' });
    expect(registry.calls).toEqual([]);
    expect(loads()).toBe(0);
    expect(await store.listImages()).toEqual([]);
  });

  test('a reference that is no repository is refused', async () => {
    const { tools } = makeWorld(image);
    for (const name of ['registry.example.com/base/node:24', '\u001b[2J', 'registry.example.com/../x']) {
      const file = await makeExport({ base: { ...BASE, image: name } });
      await expect(importImage(file, sealOf(image), tools)).rejects.toMatchObject({ code: 'IMPORT_INVALID' });
    }
  });
});

test('declared traffic without a gateway: the image is in, and what is missing is said', async () => {
  const network: Sandbox['network'] = {
    mode: 'isolated',
    ports: [],
    egress: [{ name: 'a.test', port: 443, address: null }],
  };
  const networked = makeImage({ network });
  const { tools, store, warnings } = makeWorld(networked);
  const { seal } = await importImage(await makeExport({ image: networked }), sealOf(networked), tools);
  expect(await store.listImages()).toMatchObject([{ seal }]);
  expect(warnings).toEqual([
    expect.stringMatching(
      /cannot be run yet.*state defaults\.gateway in your policy.*then do the same again/,
    ),
  ]);
});

describe('a seal whose statement comes with it', () => {
  const PEM = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .publicKey.export({ type: 'spki', format: 'pem' })
    .toString();
  const trusting = (more = '', attestations = '[]', rules = '') =>
    loadPolicies(
      `${rules}sealed:\n  attestations: ${attestations}\n  signers:\n${signerRule('sjs/*', `      transparencyLog: none\n${more}`, PEM).replace(/^/gm, '  ').trimEnd()}\n`,
    );
  const hex = (digest: string): string => digest.slice('sha256:'.length);
  const baseDigest = decodeLabels(image.config.Labels ?? {}).baseDigest;
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    predicateType: 'https://slsa.dev/provenance/v1',
    subject: [{ name: tagOf(image), digest: { sha256: hex(sealOf(image)) } }],
    predicate: {
      buildDefinition: { resolvedDependencies: [{ name: 'base', digest: { sha256: hex(baseDigest) } }] },
      runDetails: { byproducts: [{ name: 'seal', digest: { sha256: hex(sealOf(image)) } }] },
    },
  };
  const withStatement = (): Promise<string> =>
    makeExport({}, ([manifest, ...rest]) => [manifest!, ['sjs/statement.json', 'signed'], ...rest]);
  const signedWorld = (policy: Policy): World => {
    const world = makeWorld(image);
    const statements = { verifyStatement: () => Promise.resolve(statement) };
    const tools = { ...world.tools, statements, loadPolicy: () => Promise.resolve(policy) };
    return { ...world, tools: tools as unknown as ImportTools };
  };

  test('is judged as a run would judge it: what a run refuses does not come in', async () => {
    const file = await withStatement();
    for (const [policy, code] of [
      [await trusting('      annotations: { team: blue }\n'), 'SEAL_UNSIGNED'],
      [await trusting('', '[cyclonedx]'), 'ATTESTATION_MISSING'],
    ] as const) {
      const { tools, loads, store } = signedWorld(policy);
      await expect(importImage(file, null, tools)).rejects.toMatchObject({ code });
      expect([loads(), await store.listImages(), await store.readSealStatement(sealOf(image))]).toEqual([
        0,
        [],
        null,
      ]);
    }
    const { tools, store } = signedWorld(await trusting('', '[slsaprovenance1]'));
    await importImage(file, null, tools);
    expect(await store.findImageBySeal(sealOf(image))).toMatchObject({
      imported: { trustedBy: 'signature' },
      signatures: [{ repository: 'sjs/job' }],
    });
  });

  test('that is here already is judged by today’s policy, unless somebody vouches for it', async () => {
    const file = await withStatement();
    const { tools, store, warnings } = signedWorld(await trusting());
    await importImage(file, null, tools);
    const revoked = { ...tools, loadPolicy: () => loadPolicies('') };
    await expect(importImage(file, null, revoked)).rejects.toMatchObject({ code: 'SEAL_UNTRUSTED' });
    expect(warnings).toEqual([]);
    // --trust is a word of its own, and is said to be one.
    await importImage(file, sealOf(image), revoked);
    expect(warnings).toEqual([expect.stringMatching(/^sjs\/job:.* from now on it is by your word$/)]);
    expect(await store.findImageBySeal(sealOf(image))).toMatchObject({ imported: { trustedBy: 'hand' } });
    await expect(importImage(file, sha256('other'), revoked)).rejects.toMatchObject({
      code: 'SEAL_UNTRUSTED',
    });
  });

  test('is judged by its rights and its base too, as a run and a pull do: nothing comes in, nothing is kept', async () => {
    const file = await withStatement();
    for (const [more, code] of [
      ['limits: { memory: 64Mi }\n', 'POLICY_VIOLATION'],
      [`deny: { digests: ["${baseDigest}"] }\n`, 'BASE_DENIED'],
    ] as const) {
      const { tools, loads, store } = signedWorld(await trusting('', '[]', more));
      await expect(importImage(file, null, tools)).rejects.toMatchObject({ code });
      expect([loads(), await store.listImages(), await store.readSealStatement(sealOf(image))]).toEqual([
        0,
        [],
        null,
      ]);
    }
  });

  test('is kept once the image is in, and not before', async () => {
    const { tools, store } = signedWorld(await trusting());
    const full = new SjsError('ENGINE_FAILED', 'no space left on device');
    const images = { ...tools.images, load: () => Promise.reject(full) };
    const file = await withStatement();
    await expect(importImage(file, null, { ...tools, images })).rejects.toBe(full);
    expect(await store.readSealStatement(sealOf(image))).toBeNull();
    await importImage(file, null, tools);
    expect(await store.readSealStatement(sealOf(image))).toBe('signed');
  });

  test('that is here already by a signature that counts: a refusal is said, all else is passed on', async () => {
    const file = await withStatement();
    const { tools, store, warnings } = signedWorld(await trusting());
    await importImage(file, null, tools);
    const failing = (code: ErrorCode): ImportTools => {
      const statements = { verifyStatement: () => Promise.reject(new SjsError(code, `it is ${code}`)) };
      return { ...tools, statements } as unknown as ImportTools;
    };
    for (const code of ['STATEMENT_CHANGED', 'ABORTED', 'COSIGN_TIMEOUT'] as const)
      await expect(importImage(file, null, failing(code))).rejects.toMatchObject({ code });
    expect(warnings).toEqual([]);
    expect(await importImage(file, null, failing('STATEMENT_UNVERIFIED'))).toMatchObject({ wasKnown: true });
    expect(warnings).toEqual([expect.stringMatching(/by another signature.* it is STATEMENT_UNVERIFIED$/)]);
    expect(await store.readSealStatement(sealOf(image))).toBe('signed');
    // Without a statement there is nothing to refuse.
    await importImage(await makeExport({}), null, tools);
    expect(warnings).toHaveLength(1);
  });

  test('that was made here needs nobody’s word, and that is said', async () => {
    const { tools, store, warnings } = signedWorld(await loadPolicies(''));
    const file = await makeExport({});
    await importImage(file, sealOf(image), tools);
    const { imported: _none, ...own } = (await store.findImageBySeal(sealOf(image)))!;
    await store.saveImage(own);
    await importImage(file, sealOf(image), tools);
    expect(warnings).toEqual([expect.stringContaining('was made here: --trust adds nothing to that')]);
    expect(await store.findImageBySeal(sealOf(image))).not.toHaveProperty('imported');
  });
});

test('what an export says of how its seal was built is not kept: a later push would sign it as this machine’s word', async () => {
  const build: BuildFacts = {
    invocationId: 'abc',
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: '2026-01-01T00:00:01.000Z',
    sandboxDigest: null,
    lockDigest: null,
    contextDigest: sha256('context'),
    templateDigest: sha256('template'),
    policyDigest: sha256('policy'),
    baseSigner: sha256('key'),
    git: null,
    versions: { sjs: '1', engine: '28', cosign: '3' },
  };
  const withBuild = (facts: object) =>
    makeExport({}, ([manifest, ...rest]) => {
      const { entry, ...others } = JSON.parse(manifest![1]) as { entry: object };
      const text = JSON.stringify({ ...others, entry: { ...entry, build: facts } });
      return [[manifest![0], text], ...rest];
    });
  const { tools, store } = makeWorld(image);
  await importImage(await withBuild(build), sealOf(image), tools);
  expect(await store.findImageBySeal(sealOf(image))).not.toHaveProperty('build');
});
