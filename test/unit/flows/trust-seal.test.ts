import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { admitSeal, makeProof, originFor, subjectOfSeal, withProof } from '../../../src/flows/trust-seal.js';
import { sha256 } from '../../../src/model/digest.js';
import type { Policy } from '../../../src/model/policy.js';
import type { IndexEntry, SealedLabels } from '../../../src/model/sealed-image.js';
import type { ProvenSigner, SealProof } from '../../../src/model/seal-proof.js';
import { DEFAULT_PERMISSIONS, DEFAULT_RESOURCES, type Resources } from '../../../src/model/sandbox.js';
import { fingerprintOf } from '../../../src/stages/verify/trusted-keys.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { loadPolicies, signerRule } from '../../support/policy.js';
import { makeEntry } from '../../support/records.js';
import { cleanFolders } from '../../support/world.js';

cleanFolders();

const NOW = Date.parse('2026-06-15T12:00:00Z');
const REPOSITORY = 'r.example/sandboxes/job';
const PEM = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .publicKey.export({ type: 'spki', format: 'pem' })
  .toString();
const store = createMemoryRecordStore();
const tools = { store, clock: { now: () => NOW, monotonic: () => 0 } };
const SIGNERS = `sealed:\n  signers:\n${signerRule('r.example/sandboxes/*', '      transparencyLog: none\n', PEM).replace(/^/gm, '  ').trimEnd()}\n`;

const signer: ProvenSigner = {
  name: 'the key',
  keyFingerprint: fingerprintOf(PEM),
  publicKey: PEM,
  keyless: null,
  trustedRoot: null,
  transparencyLog: 'none',
  annotations: {},
  signedRepository: REPOSITORY,
  attestations: [],
};
/** The entry with a proof that this home made. */
async function proven(entry: IndexEntry, changes: Partial<SealProof> = {}): Promise<IndexEntry> {
  const found = { repository: REPOSITORY, digest: sha256('manifest'), signers: [signer], ...changes };
  const bases = [sha256('index'), sha256('another index')];
  return withProof(entry, await makeProof(entry.seal, found, bases, tools));
}

const labels = (name: string): SealedLabels => ({
  formatVersion: 1,
  name,
  version: null,
  baseDigest: sha256('manifest'),
  baseVersion: null,
  packages: null,
  rebasedFrom: null,
  plan: {
    secrets: [],
    permissions: DEFAULT_PERMISSIONS,
    resources: DEFAULT_RESOURCES,
    network: { mode: 'none' },
    runtime: 'runc',
    seccompDigest: sha256('p'),
    filesystem: { tmpBytes: 4096, tmpInodes: 1, outBytes: null, outInodes: 1 },
  },
});

/** What a run of the seal is waived, or refused for. */
async function judge(entry: IndexEntry, policy: Policy): Promise<string> {
  try {
    const { waived } = await admitSeal({ entry, labels: labels(entry.name) }, policy, tools);
    return `waived ${waived.map(({ rule }) => rule).join(' ')}`;
  } catch (error) {
    return String((error as { code?: string }).code);
  }
}

describe('what is waived for a seal is by what the operator knows of it', () => {
  const LOW = 'limits: { memory: 64Mi }\n';
  const waive = (scope: object): string =>
    `waivers: [${JSON.stringify({ sandbox: 'job', rule: 'limits.memory', until: '2026-07-01', reason: 'x', ...scope })}]\n`;
  const own = makeEntry('job', { lockedIn: '/jobs/importer' });

  test('a folder: of what the index says was built from there', async () => {
    const policy = await loadPolicies(LOW + waive({ folder: '/jobs/importer' }));
    expect(await judge(own, policy)).toBe('waived limits.memory');
    expect(await judge({ ...own, lockedIn: '/jobs/evil' }, policy)).toBe('POLICY_VIOLATION');
    const { lockedIn: _none, ...nowhere } = own;
    expect(await judge(nowhere, policy)).toBe('POLICY_VIOLATION');
    // An author chooses the name of what is imported or pulled.
    const imported = { at: '2026-06-01T00:00:00Z', trustedBy: 'hand' } as const;
    expect(await judge({ ...nowhere, imported }, policy)).toBe('POLICY_VIOLATION');
  });

  test('a repository: where a signature counts that the policy trusts today', async () => {
    const policy = await loadPolicies(LOW + waive({ repository: REPOSITORY }) + SIGNERS);
    const pulled = await proven(
      makeEntry('job', { imported: { at: '2026-06-01T00:00:00Z', trustedBy: 'signature' } }),
    );
    expect(await judge(pulled, policy)).toBe('waived limits.memory');
    // Of another repository of the same signer, whatever it calls itself.
    const elsewhere = await proven(makeEntry('job'), { repository: 'r.example/sandboxes/evil' });
    expect(await judge(elsewhere, policy)).toBe('POLICY_VIOLATION');
    // What was only pushed or pulled there, without a proof or with one that was made up.
    const place = { repository: REPOSITORY, digest: sha256('manifest'), at: '', publicKey: null };
    expect(await judge(makeEntry('job', { pushed: [place] }), policy)).toBe('POLICY_VIOLATION');
    const [proof] = pulled.signatures ?? [];
    const forged = makeEntry('evil', { name: 'job', signatures: proof ? [proof] : [] });
    expect(await judge(forged, policy)).toBe('POLICY_VIOLATION');
    // And by nobody whom the policy trusts any more.
    const revoked = await loadPolicies(LOW + waive({ repository: REPOSITORY }));
    expect(await judge({ ...pulled, imported: { at: '', trustedBy: 'hand' } }, revoked)).toBe(
      'POLICY_VIOLATION',
    );
  });

  test('a proof is looked at once, for trust and for waivers', async () => {
    const imported = { at: '2026-06-01T00:00:00Z', trustedBy: 'signature' } as const;
    const pulled = await proven(makeEntry('job', { imported }));
    let asked = 0;
    const counting = {
      ...store,
      fingerprint: (value: string) => {
        asked += 1;
        return store.fingerprint(value);
      },
    };
    const policy = await loadPolicies(LOW + waive({ repository: REPOSITORY }) + SIGNERS);
    const { waived } = await admitSeal({ entry: pulled, labels: labels('job') }, policy, {
      ...tools,
      store: counting,
    });
    expect({ asked, waived: waived.map(({ rule }) => rule) }).toEqual({
      asked: 1,
      waived: ['limits.memory'],
    });
  });

  test('a statement without a registry has a name for its place, and no repository', async () => {
    const policy = await loadPolicies(LOW + waive({ repository: 'sjs/job/x' }) + SIGNERS).catch(() => null);
    expect(policy).toBeNull();
    const signed = await proven(makeEntry('job'), { digest: null });
    expect((await subjectOfSeal(signed, await loadPolicies(SIGNERS), tools)).origin.repositories).toEqual([]);
  });

  test('a seal itself, and not what was rebased from it here', async () => {
    const policy = await loadPolicies(LOW + waive({ seal: own.seal }));
    await store.saveImage(own);
    expect(await judge(own, policy)).toBe('waived limits.memory');
    expect(await judge({ ...makeEntry('other'), name: 'job' }, policy)).toBe('POLICY_VIOLATION');
    const rebased = makeEntry('rebased', { name: 'job', rebasedFrom: own.seal });
    expect(await judge(rebased, policy)).toBe('POLICY_VIOLATION');
    expect((await subjectOfSeal(rebased, policy, tools)).origin.folder).toBe('/jobs/importer');
    await store.removeImage(own.seal);
    // Nobody knows any more where that came from.
    expect((await subjectOfSeal(rebased, policy, tools)).origin.folder).toBeNull();
  });
});

describe('what was rebased from a seal of others', () => {
  const imported = { at: '2026-06-01T00:00:00Z', trustedBy: 'signature' } as const;
  const rebase = (from: IndexEntry): IndexEntry => {
    const origin = originFor(from);
    return makeEntry(`rebased-${from.name}`, { rebasedFrom: from.seal, ...(origin && { origin }) });
  };

  test('needs trust in who signed that one at each run, wherever the index has it', async () => {
    const trusting = await loadPolicies(SIGNERS);
    const revoked = await loadPolicies('');
    const pulled = await proven(makeEntry('theirs', { imported }));
    const rebased = rebase(pulled);
    expect(await judge(rebased, trusting)).toBe('waived ');
    expect(await judge(rebased, revoked)).toBe('SEAL_UNTRUSTED');
    await expect(admitSeal({ entry: rebased, labels: labels('x') }, revoked, tools)).rejects.toThrow(
      /^sjs\/rebased-theirs:.* was rebased from sjs\/theirs:.*: .*trusts/,
    );
    // A rebase of the rebase is no other.
    expect(await judge(rebase(rebased), revoked)).toBe('SEAL_UNTRUSTED');
    // What made it trusted is bound to that seal.
    const forged = { ...rebased, origin: { ...rebased.origin!, seal: sha256('another') } };
    expect(await judge(forged, trusting)).toBe('SEAL_PROOF_INVALID');

    // The index says what holds by now: of the seal as it was pulled anew, vouched for, or built here.
    await store.saveImage({ ...pulled, signatures: [] });
    expect(await judge(rebased, trusting)).toBe('SEAL_PROOF_INVALID');
    await store.saveImage({ ...pulled, imported: { ...imported, trustedBy: 'hand' } });
    expect(await judge(rebased, revoked)).toBe('waived ');
    await store.removeImage(pulled.seal);
  });

  test('is one’s own where the first was made here, or vouched for by hand', async () => {
    const revoked = await loadPolicies('');
    expect(await judge(rebase(makeEntry('own')), revoked)).toBe('waived ');
    const byHand = makeEntry('hand', { imported: { ...imported, trustedBy: 'hand' } });
    expect(await judge(rebase(byHand), revoked)).toBe('waived ');
  });
});

test('a base is denied by any index that any provenance names, and the advice fits how it came', async () => {
  const imported = { at: '2026-06-01T00:00:00Z', trustedBy: 'signature' } as const;
  const pulled = await proven(makeEntry('pulled', { imported }));
  const deny = (word: string): string => `deny: { digests: ["${sha256(word)}"] }\n`;
  expect(await judge(pulled, await loadPolicies(SIGNERS + deny('none of them')))).toBe('waived ');
  for (const index of ['index', 'another index'])
    expect(await judge(pulled, await loadPolicies(SIGNERS + deny(index)))).toBe('BASE_DENIED');

  const found = { repository: REPOSITORY, digest: sha256('manifest'), signers: [signer] };
  const { seal } = pulled;
  const unattested = withProof({ ...pulled, signatures: [] }, await makeProof(seal, found, [], tools));
  const policy = await loadPolicies(SIGNERS + deny('none of them'));
  await expect(admitSeal({ entry: unattested, labels: labels('x') }, policy, tools)).rejects.toMatchObject({
    code: 'BASE_DENIED',
    next: expect.stringMatching(/attest its provenance too.*pull it then/),
  });
  const byHand = makeEntry('hand', { imported: { ...imported, trustedBy: 'hand' } });
  await expect(admitSeal({ entry: byHand, labels: labels('x') }, policy, tools)).rejects.toMatchObject({
    next: expect.stringContaining('import its file again'),
  });
});

test('limits are judged as a run has them: the sealed ones, or what it lowers them to', async () => {
  const policy = await loadPolicies('limits: { memory: 64Mi, timeout: 5s }\nallow: { permissions: [] }\n');
  const own = makeEntry('job');
  const admit = (limits: Partial<Resources> | undefined, changes: Partial<SealedLabels['plan']> = {}) => {
    const of = labels('job');
    return admitSeal(
      { entry: own, labels: { ...of, plan: { ...of.plan, ...changes } } },
      policy,
      tools,
      limits,
    );
  };
  const within = { memoryBytes: 64 * 1024 ** 2, timeoutMs: 5000 };
  expect(await admit(within)).toMatchObject({ waived: [] });
  for (const limits of [undefined, {}, { memoryBytes: within.memoryBytes }, { ...within, timeoutMs: 5001 }])
    await expect(admit(limits)).rejects.toMatchObject({ code: 'POLICY_VIOLATION' });
  await expect(admit({})).rejects.toMatchObject({
    next: expect.stringMatching(/^run it with tighter limits/),
    problems: [{ location: { path: 'resources.memory' } }, { location: { path: 'resources.timeout' } }],
  });

  // Only limits, only downwards; and no number stands for none.
  await expect(
    admit(within, { permissions: { ...DEFAULT_PERMISSIONS, worker: true } }),
  ).rejects.toMatchObject({
    code: 'POLICY_VIOLATION',
    problems: [{ location: { path: 'permissions.worker' } }],
    next: expect.not.stringContaining('tighter'),
  });
  await expect(admit({ ...within, pids: 65 })).rejects.toMatchObject({ code: 'RIGHTS_WIDENED' });
  for (const none of [0, -1, NaN])
    await expect(admit({ ...within, memoryBytes: none })).rejects.toMatchObject({ code: 'RIGHTS_WIDENED' });
});
