import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, homedir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { CosignOptions } from './adapters/cosign/cosign-program.js';
import type { SjsOptions } from './api.js';
import type { BuildAssets } from './flows/prepare-build.js';
import { sha256, type Digest } from './model/digest.js';
import { homeFolder } from './model/home-folder.js';
import type { Language } from './model/language.js';
import type { Policy, PolicyLayer } from './model/policy.js';
import type { Owner } from './model/record.js';
import type { SealedImage } from './model/sealed-image.js';
import type { ValidTexts } from './model/schema-check.js';
import { systemClock } from './ports/clock.js';
import type { Engine } from './ports/engine.js';
import type { ImageStore } from './ports/image-store.js';
import type { Memory } from './ports/memory.js';
import type { PackageIndex } from './ports/package-index.js';
import type { PackageRegistry } from './ports/package-registry.js';
import type { RecordStore } from './ports/record-store.js';
import type { Registry } from './ports/registry.js';
import { silentReporter } from './ports/reporter.js';
import type { SignatureVerifier } from './ports/signature-verifier.js';
import type { StatementSigner } from './ports/statement-signer.js';
import type { WritablePolicy } from './ports/writable-policy.js';

/** The composition root: the only place where the environment is read and adapters are chosen. */
export function createTools(options: SjsOptions) {
  const env = options.env ?? process.env;
  const reporter = options.reporter ?? silentReporter;
  /** An empty variable counts as unset, as it does for docker. */
  const read = (name: string): string | undefined => env[name] || undefined;
  const userHome = read('HOME') ?? homedir();
  const home = options.home === undefined ? homeFolder(env, homedir) : resolve(options.home);
  const policyFile = options.policyFile ?? read('SJS_POLICY');
  const userPolicy = join(read('XDG_CONFIG_HOME') ?? join(userHome, '.config'), 'sjs/policy.yaml');
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
    (await import('./adapters/docker/docker-engine.js')).createDockerEngine(
      await docker(),
      {
        reaperFile: asset('dist/reaper.cjs'),
        collectorFile: asset('dist/guest/collector.cjs'),
      },
      remember('isolation'),
    ),
  );
  const registry = lazy<Registry>(async () =>
    (await import('./adapters/registry/registry-client.js')).createRegistry({ env, home: userHome }),
  );
  // Another version may judge the same thing otherwise. A cache that does not work is no cache, never a failure.
  const remember = (kind: string): Memory => {
    const keyOf = (key: Digest): Digest => sha256(`${VERSION}\n${key}`);
    return {
      get: async (key) => (await store()).readCache(kind, keyOf(key)).catch(() => null),
      set: async (key, value) => (await store()).writeCache(kind, keyOf(key), value).catch(() => undefined),
    };
  };
  const versions = remember('cosign-version');
  const validTexts = remember('valid-text');
  const cosign: CosignOptions = {
    env,
    home: userHome,
    versions: {
      get: async (identity) => {
        const found = await versions.get(identity);
        return typeof found === 'string' ? found : null;
      },
      set: (identity, version) => versions.set(identity, version),
    },
  };
  const verifier = lazy<SignatureVerifier>(async () =>
    (await import('./adapters/cosign/cosign-verifier.js')).createCosignVerifier(cosign),
  );
  const statements = lazy<StatementSigner>(async () =>
    (await import('./adapters/cosign/cosign-statements.js')).createCosignStatements(cosign),
  );
  const packages = lazy<PackageRegistry>(async () =>
    (await import('./adapters/packages/npm-registry.js')).createNpmRegistry({
      env,
      home: userHome,
      cacheFolder: join(home, 'packages'),
      onWarning: (message) => reporter.warn(message),
    }),
  );
  const wheels = lazy<PackageIndex>(async () =>
    (await import('./adapters/packages/package-index.js')).createPackageIndex({
      env,
      home: userHome,
      cacheFolder: join(home, 'packages'),
      onWarning: (message) => reporter.warn(message),
    }),
  );
  const packageTools = { packages, wheels, knownWheels: remember('wheels') };
  const owner = lazy<Owner>(async () => (await import('./adapters/process/owner.js')).currentOwner(home));
  const valid: ValidTexts = {
    has: async (key) => (await validTexts.get(key)) === true,
    add: (key) => validTexts.set(key, true),
  };
  const knownLayers = new Map<string, PolicyLayer>();
  const policySources = {
    operatorFiles: ['/etc/sjs/policy.yaml', userPolicy],
    ...(policyFile !== undefined && { explicitFile: resolve(policyFile) }),
    profilesDirectory: asset('policies'),
  };
  const loadPolicy = async (directory: string | null): Promise<Policy> => {
    const { loadPolicy: load } = await import('./stages/policy/load-policy.js');
    return load({ ...policySources, valid, known: knownLayers, repositoryStart: directory });
  };
  const seccompProfile = lazy(() => readFile(asset('policies/seccomp.json'), 'utf8'));
  const sharedAssets = lazy(async () => {
    const [profile, secretsPreload, determinismPreload, modulesPreload] = await Promise.all([
      seccompProfile(),
      readFile(asset('dist/guest/secrets-preload.cjs')),
      readFile(asset('dist/guest/determinism-preload.cjs')),
      readFile(asset('dist/guest/modules-preload.cjs')),
    ]);
    return { seccompProfile: profile, secretsPreload, determinismPreload, modulesPreload };
  });
  const assets = async (language: Language): Promise<BuildAssets> => {
    const isPython = language === 'python';
    const [template, shared, callRunner, pythonStart] = await Promise.all([
      readFile(asset(`templates/${language}.Dockerfile`), 'utf8'),
      sharedAssets(),
      readFile(asset(`dist/guest/call.${isPython ? 'py' : 'cjs'}`)),
      isPython ? readFile(asset('dist/guest/start.py')) : undefined,
    ]);
    return { template, ...shared, callRunner, ...(pythonStart && { pythonStart }) };
  };
  const gatewaySource = lazy(async () => {
    const file = 'gateway.cjs';
    const [program, { placeGateway }] = await Promise.all([
      readFile(asset(`dist/guest/${file}`)),
      import('./adapters/store/gateway-folder.js'),
    ]);
    return { directory: await placeGateway(home, file, program), file, digest: sha256(program) };
  });
  const buildTools = async () => {
    const [registryClient, signatures, imageStore, records] = await Promise.all([
      registry(),
      verifier(),
      images(),
      store(),
    ]);
    return {
      registry: registryClient,
      verifier: signatures,
      images: imageStore,
      store: records,
      reporter,
      clock,
      assets,
      owner,
      rootfs: remember('rootfs'),
      layers: remember('packages-layer'),
      sjsVersion: VERSION,
      stripped: remember('stripped'),
      ...packageTools,
      lastBases: remember('last-base'),
      createId: () => randomBytes(6).toString('hex'),
      gatewaySource,
      loadPolicy,
      workingDirectory: () => process.cwd(),
      forbiddenSources: { containing: [home], being: [userHome] },
    };
  };
  /** What reads files alone: no engine is looked for. */
  const declaredTools = {
    reporter,
    loadPolicy,
    seccompProfile,
    ...packageTools,
    stripped: remember('stripped'),
    forbiddenSources: { containing: [home], being: [userHome] },
  };
  const contentTools = async () => {
    const [imageStore, records] = await Promise.all([images(), store()]);
    const epoch = read('SOURCE_DATE_EPOCH') ?? '';
    return {
      images: imageStore,
      store: records,
      reporter,
      owner,
      systems: remember('system'),
      sjsVersion: VERSION,
      writtenAt: /^\d{1,11}$/.test(epoch) ? new Date(Number(epoch) * 1000).toISOString() : null,
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
      gatewayVersion: async (carriesTraffic: boolean) => {
        const { gatewayVersion } = await import('./flows/gateway-sandbox.js');
        const digest = sha256(await readFile(asset('dist/guest/gateway.cjs')));
        return gatewayVersion({ digest }, carriesTraffic);
      },
      createId: () => createUlid(clock.now(), randomBytes(10)),
      sjsVersion: VERSION,
      seccompProfile,
      loadPolicy: () => loadPolicy(null),
    };
  };
  const poolTools = async () => {
    const tools = await runTools();
    const { stampPolicy } = await import('./stages/policy/load-policy.js');
    const machine = { cpus: availableParallelism(), memoryBytes: totalmem() };
    return { ...tools, machine, stampPolicy: () => stampPolicy(policySources) };
  };
  const receiptTools = async () => {
    const [records, signer, cosignVerifier] = await Promise.all([store(), statements(), verifier()]);
    return {
      store: records,
      statements: signer,
      verifier: cosignVerifier,
      clock,
      loadPolicy: () => loadPolicy(null),
    };
  };
  const verifyTools = async () => ({
    ...(await buildTools()),
    statements: await statements(),
    loadPolicy: () => loadPolicy(null),
  });
  const pushTools = async () => {
    const [verify, content, { describeSeal }] = await Promise.all([
      verifyTools(),
      contentTools(),
      import('./flows/describe-seal.js'),
    ]);
    return {
      ...content,
      ...verify,
      describe: (sealed: SealedImage, signal?: AbortSignal) => describeSeal(sealed, content, signal),
    };
  };
  /** Finishes what dead processes left. */
  const recover = async (signal?: AbortSignal, patienceMs?: number): Promise<void> => {
    const [{ recoverRuns }, { isOwnerAlive }, dockerEngine, records] = await Promise.all([
      import('./flows/recover-runs.js'),
      import('./adapters/process/owner.js'),
      engine(),
      store(),
    ]);
    const recoverTools = { engine: dockerEngine, store: records, reporter, clock, isOwnerAlive, owner };
    await recoverRuns(recoverTools, signal, patienceMs);
  };
  const recoverBuilds = async (signal?: AbortSignal): Promise<void> => {
    const [{ removeHalfBuilt }, { isOwnerAlive }, imageStore, records] = await Promise.all([
      import('./flows/remove-half-built.js'),
      import('./adapters/process/owner.js'),
      images(),
      store(),
    ]);
    await removeHalfBuilt({ images: imageStore, store: records, isOwnerAlive }, signal);
  };
  /** Recovery is never the reason for another command to fail. */
  const quietly = (recovering: Promise<void>): Promise<void> =>
    recovering.catch((error: unknown) => reporter.debug(`recovery: ${String(error)}`));

  const manageTools = async () => {
    const [records, { isOwnerAlive, isOwnerStopped }] = await Promise.all([
      store(),
      import('./adapters/process/owner.js'),
    ]);
    return {
      engine,
      store: records,
      clock,
      isOwnerAlive,
      isOwnerStopped,
      recover: (patienceMs?: number) => quietly(recover(undefined, patienceMs)),
    };
  };

  /** Where `base import --trust` writes. */
  const writablePolicy = lazy<WritablePolicy>(async () =>
    (await import('./adapters/store/policy-file.js')).createPolicyFile(resolve(policyFile ?? userPolicy)),
  );

  return {
    home,
    writablePolicy,
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
  };
}

function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** The folder of sjs's package.json, from src/ as from dist/. */
function packageRoot(): string {
  const start = import.meta.dirname;
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) throw new Error(`${start} is not inside sjs's package: reinstall sjs`);
  }
}

/** This sjs's version. */
export const VERSION = (
  JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }
).version;
