import { readFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SjsError } from './errors.js';
import type { VerifiedBase } from './model/base.js';
import type { Digest } from './model/digest.js';
import type { RunRecord, Owner } from './model/record.js';
import type { RunRequest } from './model/run-plan.js';
import type { BaseRequest, LoadedSandbox } from './model/sandbox.js';
import type { ImageFacts, IndexEntry, SealedLabels } from './model/sealed-image.js';
import type { Policy } from './model/policy.js';
import { systemClock } from './ports/clock.js';
import type { Engine, RunSignals } from './ports/engine.js';
import type { ImageStore } from './ports/image-store.js';
import type { RecordQuery, RecordStore } from './ports/record-store.js';
import type { Registry } from './ports/registry.js';
import { silentReporter, type Reporter } from './ports/reporter.js';
import type { SignatureVerifier } from './ports/signature-verifier.js';
import type { BuildResult } from './flows/build-sandbox.js';
import type { BuildPlan } from './flows/describe-plan.js';
import type { DoctorReport } from './flows/check-machine.js';
import type { ImportedBase } from './flows/import-base.js';
import type { LockOptions } from './flows/prepare-build.js';
import type { PruneResult } from './flows/prune.js';
import type { ReplayResult } from './flows/replay-run.js';
import type { RunOutput } from './flows/run-sandbox.js';
import type { SealVerification } from './flows/verify-sandbox.js';
import type { TrustedBaseListing } from './flows/list-bases.js';
import type { PolicyExplanation } from './stages/policy/explain-policy.js';

/** Where an {@link Sjs} keeps its state and what it obeys. All default from the environment. */
export interface SjsOptions {
  /** Default `process.env`; the only place it is read. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default `$SJS_HOME`, `$XDG_DATA_HOME/sjs`, `~/.local/share/sjs`. */
  readonly home?: string;
  /** A policy file beside the user's and the machine's; default `$SJS_POLICY`. */
  readonly policyFile?: string;
  readonly reporter?: Reporter;
}

/** Stops what is under way. */
export interface Abortable {
  readonly signal?: AbortSignal;
}

/** What a run takes beside its target. */
export interface RunOptions extends Partial<RunRequest>, Partial<RunOutput> {
  /** Signals for the program; by default none. `abort` ends the run. */
  readonly signals?: RunSignals;
}

/** What `base import` takes. */
export interface ImportBaseOptions extends Abortable {
  readonly signKey?: string;
  /** Write the key and the repository into the user's policy. */
  readonly trust?: boolean;
}

/** A sealed image in a listing. */
export interface ListedImage extends IndexEntry {
  /** Whether the engine still has it under its tag. */
  readonly isPresent: boolean;
  readonly sizeBytes: number | null;
}

/** A sealed image from the inside. */
export interface InspectedImage {
  readonly entry: IndexEntry;
  readonly image: ImageFacts;
  readonly labels: SealedLabels;
}

/** All that sjs does (SPEC §9). Every method throws {@link SjsError} alone. */
export interface Sjs {
  readonly version: string;
  /** SJS_HOME. */
  readonly home: string;

  /** Reads and validates one sandbox.yaml (a folder or the file); reports all problems at once. */
  loadSandbox(path: string): Promise<LoadedSandbox>;
  /** {@link loadSandbox} and the policy; needs no engine. */
  validate(path: string): Promise<LoadedSandbox>;
  /** Every sandbox.yaml below a folder, sorted; `node_modules` and hidden folders are passed over. */
  findSandboxes(directory: string): Promise<readonly string[]>;
  /** The JSON Schema of sandbox.yaml or of a policy. */
  schema(kind: 'sandbox' | 'policy'): Promise<object>;
  /** Writes a starting point; returns the files written. */
  init(directory: string): Promise<readonly string[]>;

  plan(path: string, options?: Partial<LockOptions> & Abortable): Promise<BuildPlan>;
  build(path: string, options?: Partial<LockOptions> & Abortable): Promise<BuildResult>;
  /** Resolves and verifies the base and writes sandbox.lock; builds nothing. */
  lock(path: string, options?: Partial<LockOptions> & Abortable): Promise<BuildPlan>;

  run(target: string, options?: RunOptions): Promise<RunRecord>;
  replay(
    target: string,
    options?: Pick<RunOptions, 'secrets' | 'onStdout' | 'onStderr' | 'signals'>,
  ): Promise<ReplayResult>;

  /** Newest first. Runs that a dead sjs left are finished first. */
  listRuns(query?: RecordQuery): Promise<readonly RunRecord[]>;
  /** By id or a unique beginning of at least six characters. */
  findRun(id: string): Promise<RunRecord>;
  /** What a record refers to by digest, checked while it is read. */
  readContent(digest: Digest): Promise<Readable>;
  removeRun(id: string): Promise<RunRecord>;

  listImages(): Promise<readonly ListedImage[]>;
  /** By tag, seal or name; the seal is checked. */
  inspectImage(target: string): Promise<InspectedImage>;
  verifyImage(target: string, options?: Abortable): Promise<SealVerification>;
  /** Removes the tag and the index entry; records stay. */
  removeImage(target: string): Promise<IndexEntry>;
  prune(options?: Abortable): Promise<PruneResult>;

  /** The policy in force for a folder (default: the operator's alone), and where each line comes from. */
  explainPolicy(directory?: string): Promise<PolicyExplanation>;

  importBase(
    source: string,
    target: string,
    options?: ImportBaseOptions,
  ): Promise<ImportedBase & { readonly policyFile: string | null }>;
  listBases(options?: Abortable): Promise<readonly TrustedBaseListing[]>;
  verifyBase(reference: string, options?: Abortable): Promise<VerifiedBase>;

  /** What this machine has and lacks, each with how to mend it. */
  doctor(options?: Abortable): Promise<DoctorReport>;
}

/** Makes an {@link Sjs}. Nothing is read, started or connected before a method needs it. */
export function createSjs(options: SjsOptions = {}): Sjs {
  const env = options.env ?? process.env;
  const reporter = options.reporter ?? silentReporter;
  const userHome = env['HOME'] ?? homedir();
  const home = resolve(
    options.home ?? env['SJS_HOME'] ?? join(env['XDG_DATA_HOME'] ?? join(userHome, '.local/share'), 'sjs'),
  );
  const policyFile = options.policyFile ?? env['SJS_POLICY'];
  const userPolicy = join(env['XDG_CONFIG_HOME'] ?? join(userHome, '.config'), 'sjs/policy.yaml');
  const root = packageRoot();
  const asset = (path: string): string => join(root, path);
  const clock = systemClock;

  const store = lazy<RecordStore>(async () =>
    (await import('./adapters/store/file-record-store.js')).createFileRecordStore(home),
  );
  const docker = lazy(async () =>
    (await import('./adapters/docker/client.js')).createDockerClient({ env, home: userHome }),
  );
  const images = lazy<ImageStore>(async () =>
    (await import('./adapters/docker/docker-image-store.js')).createDockerImageStore(await docker()),
  );
  const engine = lazy<Engine>(async () =>
    (await import('./adapters/docker/docker-engine.js')).createDockerEngine(await docker(), {
      reaperFile: asset('dist/reaper.cjs'),
      collectorFile: asset('dist/guest/collector.cjs'),
    }),
  );
  const registry = lazy<Registry>(async () =>
    (await import('./adapters/registry/registry-client.js')).createRegistry({ env, home: userHome }),
  );
  const verifier = lazy<SignatureVerifier>(async () =>
    (await import('./adapters/cosign/cosign-verifier.js')).createCosignVerifier({ env, home: userHome }),
  );
  const owner = lazy<Owner>(async () => (await import('./adapters/process/owner.js')).currentOwner(home));
  const loadPolicy = async (directory: string | null): Promise<Policy> => {
    const { loadPolicy: load } = await import('./stages/policy/load-policy.js');
    return load({
      operatorFiles: ['/etc/sjs/policy.yaml', userPolicy],
      ...(policyFile !== undefined && { explicitFile: resolve(policyFile) }),
      repositoryStart: directory,
      profilesDirectory: asset('policies'),
    });
  };
  const seccompProfile = lazy(() => readFile(asset('policies/seccomp.json'), 'utf8'));
  const assets = lazy(async () => {
    const [template, profile, secretsPreload] = await Promise.all([
      readFile(asset('templates/node.Dockerfile'), 'utf8'),
      seccompProfile(),
      readFile(asset('dist/guest/secrets-preload.cjs')),
    ]);
    return { template, seccompProfile: profile, secretsPreload };
  });
  const buildTools = async () => {
    const [registryClient, cosign, imageStore, records] = await Promise.all([
      registry(),
      verifier(),
      images(),
      store(),
    ]);
    return {
      registry: registryClient,
      verifier: cosign,
      images: imageStore,
      store: records,
      reporter,
      clock,
      assets,
      owner,
      loadPolicy,
      forbiddenSources: { containing: [home], being: [userHome] },
    };
  };
  const runTools = async () => {
    const [dockerEngine, imageStore, records, { createUlid }] = await Promise.all([
      engine(),
      images(),
      store(),
      import('./model/ulid.js'),
    ]);
    return {
      engine: dockerEngine,
      images: imageStore,
      store: records,
      reporter,
      clock,
      owner,
      createId: () => createUlid(clock.now(), randomBytes(10)),
      sjsVersion: VERSION,
      seccompProfile,
      loadPolicy: () => loadPolicy(null),
    };
  };
  const verifyTools = async () => ({ ...(await buildTools()), loadPolicy: () => loadPolicy(null) });
  /** Finishes what dead processes left. Never the reason for a command to fail. */
  const recover = async (): Promise<void> => {
    const [{ recoverRuns }, { isOwnerAlive }, dockerEngine, records] = await Promise.all([
      import('./flows/recover-runs.js'),
      import('./adapters/process/owner.js'),
      engine(),
      store(),
    ]);
    await recoverRuns({ engine: dockerEngine, store: records, reporter, clock, isOwnerAlive });
  };
  const recoverQuietly = (): Promise<void> =>
    recover().catch((error: unknown) => reporter.debug(`recovery: ${String(error)}`));
  const loadSandbox = async (path: string): Promise<LoadedSandbox> =>
    (await import('./stages/load/load-sandbox.js')).loadSandbox(path);
  const lockOptions = (given: Partial<LockOptions>): LockOptions => ({
    frozen: given.frozen ?? false,
    update: given.update ?? false,
  });

  return {
    version: VERSION,
    home,
    loadSandbox,
    async validate(path) {
      const loaded = await loadSandbox(path);
      const { validateSandbox } = await import('./flows/validate-sandbox.js');
      validateSandbox(loaded, await loadPolicy(loaded.directory));
      return loaded;
    },
    findSandboxes: async (directory) =>
      (await import('./stages/load/find-sandboxes.js')).findSandboxes(directory),
    schema: async (kind) =>
      JSON.parse(await readFile(asset(`schemas/${kind}.schema.json`), 'utf8')) as object,
    init: async (directory) =>
      (await import('./flows/init-sandbox.js')).initSandbox(directory, asset('schemas/sandbox.schema.json')),

    async plan(path, given = {}) {
      const [loaded, tools, { describePlan }] = await Promise.all([
        loadSandbox(path),
        buildTools(),
        import('./flows/describe-plan.js'),
      ]);
      return describePlan(loaded, lockOptions(given), tools, given.signal);
    },
    async build(path, given = {}) {
      const [loaded, tools, { buildSandbox }] = await Promise.all([
        loadSandbox(path),
        buildTools(),
        import('./flows/build-sandbox.js'),
      ]);
      const recovering = recoverQuietly();
      const result = await buildSandbox(loaded, lockOptions(given), tools, given.signal);
      await recovering;
      return result;
    },
    async lock(path, given = {}) {
      const [loaded, tools, { describePlan }, { writeLock }] = await Promise.all([
        loadSandbox(path),
        buildTools(),
        import('./flows/describe-plan.js'),
        import('./stages/lock/lock-file.js'),
      ]);
      const plan = await describePlan(loaded, lockOptions(given), tools, given.signal);
      if (plan.lockChanges.length > 0) await writeLock(loaded.directory, plan.lock);
      return plan;
    },

    async run(target, given = {}) {
      const [tools, { runSandbox }] = await Promise.all([runTools(), import('./flows/run-sandbox.js')]);
      const recovering = recoverQuietly();
      const request: RunRequest = {
        args: given.args ?? null,
        env: given.env ?? {},
        secrets: given.secrets ?? {},
        limits: given.limits ?? {},
      };
      const record = await runSandbox(target, request, outputOf(given), given.signals ?? noSignals, tools);
      await recovering;
      return record;
    },
    async replay(target, given = {}) {
      const [tools, { replayRun }] = await Promise.all([runTools(), import('./flows/replay-run.js')]);
      await recoverQuietly();
      return replayRun(target, given.secrets ?? {}, outputOf(given), given.signals ?? noSignals, tools);
    },

    async listRuns(query = {}) {
      const records = await store();
      if ((await records.listOpen()).length > 0) await recoverQuietly();
      return records.listRecords(query);
    },
    async findRun(id) {
      const records = await store();
      if ((await records.listOpen()).length > 0) await recoverQuietly();
      return records.findRecord(id);
    },
    readContent: async (digest) => (await store()).openBlob(digest),
    async removeRun(id) {
      const records = await store();
      const record = await records.findRecord(id);
      if (record.finishedAt === null) {
        throw new SjsError('RUN_UNFINISHED', `run ${record.id} is ${record.state}`, {
          next: 'wait for its end, or stop the sjs that runs it',
        });
      }
      await records.removeRecord(record.id);
      return record;
    },

    async listImages() {
      const [records, imageStore] = await Promise.all([store(), images()]);
      const [entries, present] = await Promise.all([
        records.listImages(),
        imageStore.listLabelled('dev.sjs.format'),
      ]);
      const byTag = new Map(present.flatMap((image) => image.tags.map((tag) => [tag, image] as const)));
      return entries.map((entry) => ({
        ...entry,
        isPresent: byTag.has(entry.tag),
        sizeBytes: byTag.get(entry.tag)?.sizeBytes ?? null,
      }));
    },
    async inspectImage(target) {
      const [tools, { findSealedImage }] = await Promise.all([runTools(), import('./flows/find-target.js')]);
      return findSealedImage(target, tools);
    },
    async verifyImage(target, given = {}) {
      const [tools, { verifySealedImage }] = await Promise.all([
        verifyTools(),
        import('./flows/verify-sandbox.js'),
      ]);
      return verifySealedImage(target, tools, given.signal);
    },
    async removeImage(target) {
      const [tools, { findEntry }] = await Promise.all([runTools(), import('./flows/find-target.js')]);
      const entry = await findEntry(target, tools);
      await tools.images.remove(entry.tag);
      await tools.store.removeImage(entry.seal);
      return entry;
    },
    async prune(given = {}) {
      const [tools, { prune }] = await Promise.all([runTools(), import('./flows/prune.js')]);
      await recover();
      return prune(tools, given.signal);
    },

    async explainPolicy(directory) {
      const { explainPolicy } = await import('./stages/policy/explain-policy.js');
      return explainPolicy(await loadPolicy(directory === undefined ? null : resolve(directory)));
    },

    async importBase(source, target, given = {}) {
      const [{ importBase }, { trustBase }, registryClient, cosign] = await Promise.all([
        import('./flows/import-base.js'),
        import('./flows/trust-base.js'),
        registry(),
        verifier(),
      ]);
      const imported = await importBase(
        { source, target, keyFile: given.signKey ?? null },
        { registry: registryClient, verifier: cosign, reporter },
        given.signal,
      );
      if (!given.trust) return { ...imported, policyFile: null };
      const file = resolve(policyFile ?? userPolicy);
      await trustBase(imported, file);
      return { ...imported, policyFile: file };
    },
    async listBases(given = {}) {
      const [{ listBases }, registryClient] = await Promise.all([
        import('./flows/list-bases.js'),
        registry(),
      ]);
      return listBases(await loadPolicy(null), registryClient, given.signal);
    },
    async verifyBase(reference, given = {}) {
      const [tools, { verifyBaseRequest }] = await Promise.all([
        verifyTools(),
        import('./flows/verify-sandbox.js'),
      ]);
      return verifyBaseRequest(await baseRequest(reference), tools, given.signal);
    },

    async doctor(given = {}) {
      const { checkMachine } = await import('./flows/check-machine.js');
      return checkMachine(
        {
          engine,
          verifier,
          loadPolicy: () => loadPolicy(null),
          store,
          nodeVersion: process.versions.node,
          home,
        },
        given.signal,
      );
    },
  };
}

const noSignals: RunSignals = { subscribe: () => () => undefined };

const outputOf = (given: Partial<RunOutput>): RunOutput => ({
  stdin: given.stdin ?? null,
  onStdout: given.onStdout ?? (() => undefined),
  onStderr: given.onStderr ?? (() => undefined),
  ...(given.onArtifact && { onArtifact: given.onArtifact }),
});

/** `repo:version` or `repo@digest` as a request for exactly that. */
async function baseRequest(text: string): Promise<BaseRequest> {
  const { formatRepository, parseReference } = await import('./model/reference.js');
  const reference = parseReference(text);
  const image = formatRepository(reference);
  if (reference.digest) return { image, digest: reference.digest };
  if (reference.tag) return { image, version: `=${reference.tag}` };
  throw new SjsError('BASE_NOT_PINNED', `${text} has neither a version nor a digest`, {
    next: `write ${text}:<version> or ${text}@sha256:…`,
  });
}

function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** The folder of sjs's package.json, from src/ as from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

const VERSION = (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string })
  .version;
