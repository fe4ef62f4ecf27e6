import { readFile } from 'node:fs/promises';
import type {
  Batch,
  BuildOptions,
  CodePool,
  CreateCodePoolOptions,
  CreatePoolOptions,
  Pool,
  PoolRunOptions,
  Published,
  PublishOptions,
  RunOptions,
  Sjs,
  SjsOptions,
} from './api.js';
import type { BuildTools } from './flows/build-sandbox.js';
import type { LockOptions } from './flows/prepare-build.js';
import type { RunOutput } from './flows/execute-run.js';
import type { OpenPool } from './flows/open-pool.js';
import type { RunTarget } from './flows/run-sandbox.js';
import type { CodeTarget } from './model/grants.js';
import { containerIdOf } from './model/record.js';
import type { LoadedSandbox } from './model/sandbox.js';
import type { RunRecord } from './model/record.js';
import type { RunRequest } from './model/run-plan.js';
import { parseSigningKey, type SigningKey } from './model/signing-key.js';
import { systemClock } from './ports/clock.js';
import type { RunSignals } from './ports/engine.js';
import { checkExportName } from './model/call.js';
import { checkOptions } from './model/check-options.js';
import { startRunning } from './running.js';
import { createTools, VERSION } from './tools.js';

/** Makes an {@link Sjs}. Nothing is read, started or connected before a method needs it. */
export function createSjs(options: SjsOptions = {}): Sjs {
  const {
    home,
    asset,
    reporter,
    store,
    images,
    engine,
    registry,
    verifier,
    valid,
    loadPolicy,
    buildTools,
    contentTools,
    runTools,
    poolTools,
    declaredTools,
    packages,
    verifyTools,
    pushTools,
    receiptTools,
    manageTools,
    recover,
    recoverBuilds,
    quietly,
    writablePolicy,
  } = createTools(options);
  const loadSandbox = async (path: string): Promise<LoadedSandbox> =>
    (await import('./stages/load/load-sandbox.js')).loadSandbox(path, valid);
  const sealTools = async () => ({ ...(await buildTools()), valid });
  const lockOptions = ({ frozen = false, update = false }: BuildOptions): LockOptions => ({
    frozen,
    update: update !== false && update !== 'dependencies',
  });
  /** What each batch shares, made when its first build asks. */
  const batches = new WeakMap<Batch, Promise<BuildTools>>();
  const toolsOf = async ({ batch }: { readonly batch?: Batch | undefined }) => {
    if (!batch) return buildTools();
    const shared =
      batches.get(batch) ??
      Promise.all([buildTools(), import('./flows/share-answers.js')]).then(([tools, { shareAnswers }]) =>
        shareAnswers(tools),
      );
    batches.set(batch, shared);
    return shared;
  };
  const recovered = new WeakMap<Batch, Recovering>();
  /** Once a batch: what dead processes left is no more for the second build. */
  const recoverAll = ({ batch, signal }: BuildOptions): Recovering => {
    const recovering = (batch && recovered.get(batch)) ?? {
      runs: quietly(recover(signal)),
      builds: quietly(recoverBuilds(signal)),
    };
    if (batch) recovered.set(batch, recovering);
    return recovering;
  };

  const pushImage: Sjs['pushImage'] = async (target, given = {}) => {
    const [tools, { pushImage: push }] = await Promise.all([pushTools(), import('./flows/push-image.js')]);
    const options = { repository: given.repository ?? null, key: signingKeyOf(given.sign) };
    return push(target, options, tools, given.signal);
  };
  const publish = async (tag: string, given: PublishOptions): Promise<Published> => {
    if (given.push) return { pushed: await pushImage(tag, given) };
    const key = signingKeyOf(given.sign);
    if (key === null) return {};
    const [tools, { signSeal }] = await Promise.all([pushTools(), import('./flows/sign-seal.js')]);
    return { signed: await signSeal(tag, key, tools, given.signal) };
  };

  /** Has a target sealed if need be, and recovers what is left over while the program runs: that has no need of it. */
  const withTarget = async <T>(
    target: string | CodeTarget,
    given: RunOptions,
    act: (sealing: Promise<RunTarget>, streams: RunOutput) => Promise<T>,
  ): Promise<T> => {
    const { abort } = signalsOf(given);
    let recovering: Promise<void> | null = null;
    let didBuild = false;
    const recoverAll = async (): Promise<void> => {
      await Promise.all([quietly(recover(abort)), didBuild && quietly(recoverBuilds(abort))]);
    };
    const recoverOnce = (): Promise<void> => (recovering ??= recoverAll());
    const onStarted = (runId: string): void => {
      given.onStarted?.(runId);
      void recoverOnce();
    };
    const resolve = async (): Promise<RunTarget> => {
      const { resolveTarget } = await import('./flows/resolve-target.js');
      const found = await resolveTarget(target, given, { targetTools: runTools, sealTools }, abort);
      didBuild = found.isSealedNow;
      return found;
    };
    try {
      return await act(resolve(), { ...outputOf(given), onStarted });
    } finally {
      await recoverOnce();
    }
  };

  /** @param document its stdin, where that is known */
  const runTarget = (
    target: string | CodeTarget,
    given: RunOptions,
    document?: Uint8Array,
  ): Promise<RunRecord> =>
    withTarget(target, given, async (sealing, streams) => {
      const [tools, { runSandbox }] = await Promise.all([runTools(), import('./flows/run-sandbox.js')]);
      const asked = document ? sealing.then((found) => ({ ...found, arguments: document })) : sealing;
      return runSandbox(asked, streams, signalsOf(given), tools);
    });

  return {
    version: VERSION,
    home,
    loadSandbox,
    async validate(path) {
      const loaded = await loadSandbox(path);
      const { validateSandbox } = await import('./flows/validate-sandbox.js');
      validateSandbox(loaded, await loadPolicy(loaded.directory), systemClock.now());
      return loaded;
    },
    findSandboxes: async (directory) =>
      (await import('./stages/load/find-sandboxes.js')).findSandboxes(directory),
    schema: async (kind) =>
      JSON.parse(await readFile(asset(`schemas/${kind}.schema.json`), 'utf8')) as object,
    init: async (directory) =>
      (await import('./flows/init-sandbox.js')).initSandbox(directory, asset('templates/init')),

    createBatch: () => ({}) as Batch,
    async plan(path, given = {}) {
      const [loaded, tools, { describePlan }] = await Promise.all([
        loadSandbox(path),
        toolsOf(given),
        import('./flows/describe-plan.js'),
      ]);
      return describePlan(loaded, lockOptions(given), tools, given.signal);
    },
    async build(path, given = {}) {
      const [loaded, tools, { buildSandbox }] = await Promise.all([
        loadSandbox(path),
        toolsOf(given),
        import('./flows/build-sandbox.js'),
      ]);
      const { runs, builds } = recoverAll(given);
      const result = await buildSandbox(
        loaded,
        lockOptions(given),
        { ...tools, recovered: builds },
        given.signal,
      );
      await Promise.all([runs, builds]);
      return { ...result, ...(await publish(result.tag, given)) };
    },
    async checkLock(path) {
      const { checkLock } = await import('./flows/check-lock.js');
      await checkLock(await loadSandbox(path), declaredTools);
    },
    async lock(path, given = {}) {
      const [loaded, tools, { describePlan }, { writeLock }] = await Promise.all([
        loadSandbox(path),
        toolsOf(given),
        import('./flows/describe-plan.js'),
        import('./stages/lock/lock-file.js'),
      ]);
      const plan = await describePlan(loaded, lockOptions(given), tools, given.signal);
      if (plan.lockChanges.length > 0) await writeLock(loaded.directory, plan.lock);
      return plan;
    },

    run: (target, given = {}) =>
      startRunning(given, async (output) => {
        checkOptions('run', given);
        return runTarget(target, { ...given, ...output });
      }),
    call: (target, name, args = [], given = {}) =>
      startRunning(given, async (output) => {
        checkOptions('call', given);
        checkExportName(name);
        const { callFunction, checkArguments, encodeArguments } = await import('./flows/call-function.js');
        const bytes = args instanceof Uint8Array ? checkArguments(args) : encodeArguments(args);
        return withTarget(target, { ...given, ...output }, async (sealing, streams) =>
          callFunction(sealing, name, bytes, streams, signalsOf(given), await runTools()),
        );
      }),
    runCode: (code, { language = 'node', data, ...given } = {}) =>
      startRunning(given, async (output) => {
        checkOptions('runCode', { ...given, language });
        const { codeSandbox, runCode } = await import('./flows/run-code.js');
        const { target, ...sandbox } = codeSandbox(language);
        return runCode({ code, data }, (document, streams) =>
          runTarget(target, { ...given, ...output, ...sandbox, ...streams }, document),
        );
      }),
    createPool: (async (asked: CreatePoolOptions | CreateCodePoolOptions) => {
      checkOptions('createPool', asked);
      const open = async ({ target, ...given }: CreatePoolOptions): Promise<OpenPool> => {
        const { openPool } = await import('./flows/open-pool.js');
        // The first call needs it, and has no time.
        await import('./flows/call-function.js');
        return withTarget(target, given, async (sealing) =>
          openPool((await sealing).target, given, await poolTools()),
        );
      };
      if ('target' in asked) return publicPool(await open(asked));
      const { codeSandbox } = await import('./flows/run-code.js');
      return publicCodePool(await open({ ...asked, ...codeSandbox(asked.language) }));
    }) as Sjs['createPool'],
    async findTarget(target, given = {}) {
      const [tools, { resolveTarget }, { findEntry }] = await Promise.all([
        runTools(),
        import('./flows/resolve-target.js'),
        import('./flows/find-target.js'),
      ]);
      const { abort } = signalsOf(given);
      const found = await resolveTarget(target, given, { targetTools: runTools, sealTools }, abort);
      return { entry: await findEntry(found.target, tools, abort), request: found.request };
    },
    async replay(target, given = {}) {
      const [tools, { replayRun }] = await Promise.all([runTools(), import('./flows/replay-run.js')]);
      const signals = signalsOf(given);
      await quietly(recover(signals.abort));
      return replayRun(target, given.secrets ?? {}, outputOf(given), signals, tools);
    },

    async listRuns(query = {}) {
      const records = await store();
      if ((await records.listOpen()).length > 0) await quietly(recover());
      return records.listRecords(query);
    },
    async findRun(id) {
      const records = await store();
      if ((await records.listOpen()).length > 0) await quietly(recover());
      return records.findRecord(id);
    },
    readContent: async (digest) => (await store()).openBlob(digest),
    async *readOutput(id, query = {}) {
      const [tools, { readOutput }] = await Promise.all([manageTools(), import('./flows/follow-run.js')]);
      yield* readOutput((await tools.store.findRecord(id)).id, query, tools);
    },
    async waitRun(id, given = {}) {
      const [tools, { waitForEnd }] = await Promise.all([manageTools(), import('./flows/manage-run.js')]);
      const record = await tools.store.findRecord(id);
      return (await waitForEnd(record.id, tools, { signal: given.signal })) ?? record;
    },
    async stopRun(id, given = {}) {
      const [tools, { stopRun, STOP_GRACE_MS }] = await Promise.all([
        manageTools(),
        import('./flows/manage-run.js'),
      ]);
      return stopRun(id, given.graceMs ?? STOP_GRACE_MS, tools);
    },
    async killRun(id, signal = 'SIGKILL') {
      const [tools, { killRun }] = await Promise.all([manageTools(), import('./flows/manage-run.js')]);
      return killRun(id, signal, tools);
    },
    async *watchUsage(id, given = {}) {
      const [records, running] = await Promise.all([store(), engine()]);
      yield* running.watchUsage(containerIdOf(await records.findRecord(id)), given.signal);
    },
    async removeRun(id) {
      const [records, { removeRun }] = await Promise.all([store(), import('./flows/remove-run.js')]);
      return removeRun(id, records);
    },

    async checkReceipt({ key, file, signal }) {
      const [tools, { checkReceiptRequest }] = await Promise.all([
        receiptTools(),
        import('./flows/make-receipt.js'),
      ]);
      await checkReceiptRequest({ key, file }, tools, signal);
    },
    async makeReceipt(id, { key, file, signal } = {}) {
      const [tools, { makeReceipt }] = await Promise.all([receiptTools(), import('./flows/make-receipt.js')]);
      return makeReceipt(id, { key, file }, tools, signal);
    },
    async findReceipt(id) {
      const [records, { findReceipt }] = await Promise.all([store(), import('./flows/make-receipt.js')]);
      return findReceipt(id, records);
    },
    async verifyReceipt(file, { key, signal } = {}) {
      const [tools, { verifyReceipt }] = await Promise.all([
        receiptTools(),
        import('./flows/verify-receipt.js'),
      ]);
      return verifyReceipt(file, key ?? null, tools, signal);
    },

    listEntries: async () => (await store()).listImages(),
    listRecords: async (query = {}) => (await store()).listRecords(query),
    async listImages() {
      const [records, imageStore, { listImages }] = await Promise.all([
        store(),
        images(),
        import('./flows/list-images.js'),
      ]);
      return listImages({ store: records, images: imageStore });
    },
    async inspectImage(target) {
      const [tools, { findSealedImage }] = await Promise.all([runTools(), import('./flows/find-target.js')]);
      return findSealedImage(target, tools);
    },
    async inspectEnv(target) {
      const [tools, { findSealedImage }, { splitEnv }] = await Promise.all([
        runTools(),
        import('./flows/find-target.js'),
        import('./model/sealed-env.js'),
      ]);
      const { image, labels } = await findSealedImage(target, tools);
      return { labels, env: splitEnv(image.config.Env ?? []).set };
    },
    async cloneImage(target, directory, given = {}) {
      const [tools, { cloneImage }] = await Promise.all([runTools(), import('./flows/clone-image.js')]);
      return cloneImage(target, directory, tools, given.signal);
    },
    async exportImage(target, file, given = {}) {
      const [tools, { exportImage }] = await Promise.all([runTools(), import('./flows/export-image.js')]);
      const runs = given.runs && (await Promise.all(given.runs.map((id) => tools.store.findRecord(id))));
      return exportImage(target, file, runs ?? null, tools, given.signal);
    },
    async importImage(file, given = {}) {
      const [build, verify, { importImage }] = await Promise.all([
        buildTools(),
        verifyTools(),
        import('./flows/import-image.js'),
      ]);
      const tools = { ...verify, build };
      return importImage(file, given.trust ?? null, tools, given.signal);
    },
    async diff(from, to, given = {}) {
      const { diffTargets } = await import('./flows/diff-targets.js');
      const tools = { ...declaredTools, loadSandbox, targetTools: runTools };
      return diffTargets(from, to, tools, given.signal);
    },
    pairSandboxes: async (from, to) => (await import('./flows/pair-sandboxes.js')).pairSandboxes(from, to),
    async rebaseImage(target, base, given = {}) {
      const [build, { rebaseImage }, { parseBaseRequest }] = await Promise.all([
        buildTools(),
        import('./flows/rebase-image.js'),
        import('./model/base-request.js'),
      ]);
      const tools = { ...build, build, loadPolicy: () => loadPolicy(null) };
      return rebaseImage(target, parseBaseRequest(base), tools, given.signal);
    },
    async verifyImage(target, given = {}) {
      const [tools, { verifySealedImage }] = await Promise.all([
        verifyTools(),
        import('./flows/verify-sandbox.js'),
      ]);
      return verifySealedImage(target, { offline: given.offline ?? false }, tools, given.signal);
    },
    pushImage,
    async findPublished(target, given = {}) {
      const [tools, { findPublished }] = await Promise.all([
        pushTools(),
        import('./flows/find-published.js'),
      ]);
      return findPublished(target, tools, given.signal);
    },
    async pullImage(reference, given = {}) {
      const [build, { pullImage }] = await Promise.all([buildTools(), import('./flows/pull-image.js')]);
      const tools = { ...build, build, loadPolicy: () => loadPolicy(null) };
      return pullImage(reference, tools, given.signal);
    },
    async describeImage(target, format, given = {}) {
      const [tools, { describeImage }] = await Promise.all([
        contentTools(),
        import('./flows/describe-contents.js'),
      ]);
      return describeImage(target, format, tools, given.signal);
    },
    async describeProvenance(target, given = {}) {
      const [tools, { describeProvenance }] = await Promise.all([
        contentTools(),
        import('./flows/describe-contents.js'),
      ]);
      return describeProvenance(target, tools, given.signal);
    },
    async removeImage(target) {
      const [tools, { removeImage }] = await Promise.all([runTools(), import('./flows/remove-image.js')]);
      return removeImage(target, tools);
    },
    async prune(given = {}) {
      const [tools, { prune }] = await Promise.all([runTools(), import('./flows/prune.js')]);
      const dryRun = given.dryRun ?? false;
      if (!dryRun) await Promise.all([recover(given.signal), recoverBuilds(given.signal)]);
      return prune({ ...tools, packages }, { dryRun, adHoc: given.adHoc ?? false, signal: given.signal });
    },

    async explainPolicy(directory) {
      const [{ explainPolicy }, { findStart }] = await Promise.all([
        import('./stages/policy/explain-policy.js'),
        import('./stages/policy/load-policy.js'),
      ]);
      const policy = await loadPolicy(directory === undefined ? null : await findStart(directory));
      return explainPolicy(policy, systemClock.now());
    },

    async checkPolicy(targets, given = {}) {
      const { checkPolicy } = await import('./flows/check-policy.js');
      const checkTools = { clock: systemClock, loadSandbox, loadPolicy, sealed: runTools };
      return checkPolicy(targets, checkTools, given.signal);
    },
    async listPublishers() {
      return (await import('./flows/trust-publisher.js')).listPublishers(asset('policies/trust'));
    },
    async trustPublisher(name) {
      const [policy, { trustPublisher }] = await Promise.all([
        writablePolicy(),
        import('./flows/trust-publisher.js'),
      ]);
      return trustPublisher(name, asset('policies/trust'), policy);
    },

    async importBase(source, target, given = {}) {
      const [{ importBase }, { trustBase }, registryClient, cosign] = await Promise.all([
        import('./flows/import-base.js'),
        import('./flows/trust-base.js'),
        registry(),
        verifier(),
      ]);
      const imported = await importBase(
        { source, target, key: given.signKey === undefined ? null : parseSigningKey(given.signKey) },
        { registry: registryClient, verifier: cosign, reporter },
        given.signal,
      );
      if (!given.trust) return { ...imported, policyFile: null };
      const policy = await writablePolicy();
      await trustBase(imported, policy);
      return { ...imported, policyFile: policy.path };
    },
    async listBases(given = {}) {
      const [{ listBases }, registryClient] = await Promise.all([
        import('./flows/list-bases.js'),
        registry(),
      ]);
      return listBases(await loadPolicy(null), registryClient, given.signal);
    },
    async verifyBase(reference, given = {}) {
      const [tools, { verifyBaseRequest }, { parseBaseRequest }, { noSandbox }] = await Promise.all([
        verifyTools(),
        import('./flows/verify-base-request.js'),
        import('./model/base-request.js'),
        import('./model/waiver.js'),
      ]);
      const subject = noSandbox(systemClock.now());
      return verifyBaseRequest(parseBaseRequest(reference), subject, tools, given.signal);
    },

    async doctor(given = {}) {
      const { checkMachine } = await import('./flows/check-machine.js');
      return checkMachine(
        {
          engine,
          verifier,
          loadPolicy: () => loadPolicy(null),
          clock: systemClock,
          store,
          nodeVersion: process.versions.node,
          home,
        },
        given.signal,
      );
    },
  };
}

/** `true` signs without a key; null is for what is not signed. */
const signingKeyOf = (given: string | boolean | undefined): SigningKey | null =>
  given === undefined || given === false ? null : parseSigningKey(given === true ? undefined : given);

/** What other processes left, while it is brought to its end: runs, and images that were never sealed. */
interface Recovering {
  readonly runs: Promise<unknown>;
  readonly builds: Promise<unknown>;
}

const noSignals: RunSignals = { subscribe: () => () => undefined };

/** What may end a run: either of the two signals. */
function signalsOf({ signals = noSignals, signal }: Pick<RunOptions, 'signal' | 'signals'>): RunSignals {
  if (signal === undefined) return signals;
  return {
    subscribe: (listener) => signals.subscribe(listener),
    abort: signals.abort ? AbortSignal.any([signals.abort, signal]) : signal,
  };
}

/** What every pool has, in the words of the library. */
const anyPool = (opened: OpenPool) => ({
  tag: opened.tag,
  ready: () => opened.filled(),
  status: () => ({ ...opened.counts(), ...opened.bounds }),
  close: () => opened.close(),
  [Symbol.asyncDispose]: () => opened.close(),
});

function publicCodePool(opened: OpenPool): CodePool {
  return {
    ...anyPool(opened),
    run: (code, { data, limits = {}, ...given } = {}) =>
      startRunning(given, async (output) => {
        checkOptions('runCode', { ...given, limits });
        const { runCode } = await import('./flows/run-code.js');
        const request = { args: null, env: {}, secrets: {}, limits };
        return runCode({ code, data }, (document, streams) =>
          opened.run(request, outputOf({ ...given, ...output, ...streams }), signalsOf(given), document),
        );
      }),
  };
}

function publicPool(opened: OpenPool): Pool {
  const requestOf = ({ args = null, env = {}, secrets = {}, limits = {} }: PoolRunOptions): RunRequest => ({
    args,
    env,
    secrets,
    limits,
  });
  return {
    ...anyPool(opened),
    run: (given = {}) =>
      startRunning(given, async (output) => {
        checkOptions('pool.run', given);
        return opened.run(requestOf(given), outputOf({ ...given, ...output }), signalsOf(given));
      }),
    call: (name, args = [], given = {}) =>
      startRunning(given, async (output) => {
        checkOptions('pool.call', given);
        checkExportName(name);
        const { checkArguments, encodeArguments } = await import('./flows/call-function.js');
        const bytes = args instanceof Uint8Array ? checkArguments(args) : encodeArguments(args);
        const request = { ...requestOf(given), call: { export: name } };
        return opened.call(request, bytes, outputOf({ ...given, ...output }), signalsOf(given));
      }),
  };
}

const outputOf = (given: Partial<RunOutput>): RunOutput => ({
  stdin: given.stdin ?? null,
  onStdout: given.onStdout ?? (() => undefined),
  onStderr: given.onStderr ?? (() => undefined),
  ...(given.onArtifact && { onArtifact: given.onArtifact }),
  ...(given.onPorts && { onPorts: given.onPorts }),
  ...(given.onStarted && { onStarted: given.onStarted }),
  ...(given.onAnswer && { onAnswer: given.onAnswer }),
});
