import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { build } from 'esbuild';
import { createDockerClient, type DockerClient } from '../../src/adapters/docker/client.js';
import { createDockerEngine } from '../../src/adapters/docker/docker-engine.js';
import { currentOwner } from '../../src/adapters/process/owner.js';
import { needsGateway, type Network } from '../../src/model/network.js';
import type { ConnectionRecord } from '../../src/model/record.js';
import type { GatewayImage, RunPlan } from '../../src/model/run-plan.js';
import { DEFAULT_RESOURCES, TMPFS_INODES, type Resources } from '../../src/model/sandbox.js';
import type { Engine, Owner, RunOutcome, RunSignals, RunStreams } from '../../src/ports/engine.js';
import type { Memory } from '../../src/ports/memory.js';
import { ensureBaseImage } from './base-image.js';

const ROOT = join(import.meta.dirname, '../..');

/** What a test may say about a plan; the rest are the defaults. */
export interface PlanOverrides {
  readonly code?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly user?: string;
  readonly imageId?: string;
  readonly isImported?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly unsetEnv?: readonly string[];
  readonly secrets?: Readonly<Record<string, string>>;
  readonly seccompProfile?: string;
  readonly resources?: Partial<Resources>;
  readonly filesystem?: Partial<RunPlan['filesystem']>;
  readonly network?: Network;
  readonly gateway?: GatewayImage | null;
}

/** A plan that no stage made: engines are tested without the stages. */
export function makePlan(imageId: string, seccompProfile: string, given: PlanOverrides): RunPlan {
  return {
    seal: `sha256:${'0'.repeat(64)}`,
    imageId: given.imageId ?? imageId,
    isImported: given.isImported ?? false,
    user: given.user ?? '65532:65532',
    command: given.command ?? ['node', '-e', given.code ?? ''],
    args: given.args ?? [],
    workingDirectory: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...given.env },
    unsetEnv: given.unsetEnv ?? [],
    secrets: given.secrets ?? {},
    expectsSecrets: given.secrets !== undefined,
    resources: { ...DEFAULT_RESOURCES, timeoutMs: 20_000, ...given.resources },
    filesystem: {
      tmpBytes: 4 * 1024 ** 2,
      tmpInodes: 256,
      outBytes: null,
      outInodes: TMPFS_INODES,
      ...given.filesystem,
    },
    network: given.network ?? { mode: 'none' },
    gateway: given.gateway ?? null,
    runtime: 'runc',
    seccompProfile: given.seccompProfile ?? seccompProfile,
  } as unknown as RunPlan;
}

/** What a run came to. */
export interface Finished {
  readonly outcome: RunOutcome;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly artifacts: Readonly<Record<string, Buffer>>;
  readonly skipped: Readonly<Record<string, string>>;
  readonly connections: readonly ConnectionRecord[];
}

/** What a test may hook into. */
export interface RunHooks extends Partial<Pick<RunStreams, 'onStdout' | 'onStarted' | 'onPorts'>> {
  readonly runId?: string;
  readonly stdin?: Readable | Uint8Array;
  readonly signals?: RunSignals;
}

/** The real engine with the programs it needs, built from the sources, and an SJS_HOME of its own. */
export interface EngineWorld {
  readonly client: DockerClient;
  readonly engine: Engine;
  readonly owner: Owner;
  readonly imageId: string;
  readonly seccompProfile: string;
  /** Where dist/ would be: reaper.cjs, collector.cjs, secrets-preload.cjs. */
  readonly folder: string;
  plan(given: PlanOverrides): RunPlan;
  run(given: PlanOverrides, hooks?: RunHooks): Promise<Finished>;
  /** Bundles one more entry point beside the others; returns its path. */
  bundle(entry: string, name: string): Promise<string>;
  close(): Promise<void>;
}

/** A run id like a ULID. */
export function makeRunId(): string {
  const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  return [...randomBytes(26)].map((byte) => digits[byte % 32]).join('');
}

/** Signals that a test sends by hand. */
export function makeSignals(abort?: AbortSignal): RunSignals & { send(signal: NodeJS.Signals): void } {
  const listeners = new Set<(signal: NodeJS.Signals) => void>();
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    send: (signal) => listeners.forEach((listener) => listener(signal)),
    ...(abort && { abort }),
  };
}

/** Opens the world; call its `close` at the end. */
export async function openEngine(): Promise<EngineWorld> {
  await mkdir(join(ROOT, '.cache'), { recursive: true });
  // Below the project, so that what is bundled there finds node_modules.
  const folder = await mkdtemp(join(ROOT, '.cache/test-engine-'));
  const bundle = async (entry: string, name: string): Promise<string> => {
    const outfile = join(folder, name);
    const format = name.endsWith('.cjs') ? 'cjs' : 'esm';
    await build({
      entryPoints: [join(ROOT, entry)],
      outfile,
      format,
      bundle: true,
      platform: 'node',
      target: 'node20',
      packages: 'external',
      logLevel: 'error',
    });
    return outfile;
  };
  const [imageId, seccompProfile, client, owner, reaperFile, collectorFile, gatewayFile] = await Promise.all([
    ensureBaseImage(),
    readFile(join(ROOT, 'policies/seccomp.json'), 'utf8'),
    createDockerClient({ env: process.env, home: homedir() }),
    currentOwner(join(folder, 'home')),
    bundle('src/adapters/docker/reaper-main.ts', 'reaper.cjs'),
    bundle('src/guest/collector.ts', 'collector.cjs'),
    bundle('src/guest/gateway/main.ts', 'gateway.cjs'),
  ]);
  const program = await readFile(gatewayFile, 'utf8');
  const engine = createDockerEngine(client, { reaperFile, collectorFile }, makeProofs());
  /** The program over the base, without an image of its own. */
  const gateway: GatewayImage = {
    seal: `sha256:${'1'.repeat(64)}`,
    imageId,
    user: '65532:65532',
    command: ['node', '-e', program],
  };
  const plan = (given: PlanOverrides): RunPlan =>
    makePlan(imageId, seccompProfile, {
      ...given,
      gateway: given.gateway ?? (given.network && needsGateway(given.network) ? gateway : null),
    });
  return {
    client,
    engine,
    owner,
    imageId,
    seccompProfile,
    folder,
    plan,
    bundle,
    run: (given, hooks = {}) => runHere(engine, owner, plan(given), hooks),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Proofs that are kept as long as the process lives. */
export function makeProofs(): Memory {
  const known = new Map<string, unknown>();
  return {
    get: (key) => Promise.resolve(known.get(key) ?? null),
    set: (key, value) => Promise.resolve(void known.set(key, value)),
  };
}

async function runHere(engine: Engine, owner: Owner, plan: RunPlan, hooks: RunHooks): Promise<Finished> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  const artifacts: Record<string, Buffer> = {};
  const skipped: Record<string, string> = {};
  const connections: ConnectionRecord[] = [];
  const { stdin } = hooks;
  const streams: RunStreams = {
    stdin: stdin instanceof Uint8Array ? Readable.from([stdin]) : (stdin ?? null),
    onStdin: () => undefined,
    onStdout: async (chunk) => {
      stdout.push(Buffer.from(chunk));
      await hooks.onStdout?.(chunk);
    },
    onStderr: (chunk) => void stderr.push(Buffer.from(chunk)),
    onArtifact: async (path, bytes, content) => {
      const parts: Uint8Array[] = [];
      for await (const part of content) parts.push(Buffer.from(part));
      artifacts[path] = Buffer.concat(parts);
      if (artifacts[path].length !== bytes) throw new Error(`${path}: ${bytes} bytes announced`);
    },
    onSkippedArtifact: (path, reason) => void (skipped[path] = reason),
    onConnection: (connection) => void connections.push(connection),
    onPorts: (ports) => hooks.onPorts?.(ports),
    beforeStart: () => Promise.resolve(),
    onEnding: () => undefined,
    onStarted: () => hooks.onStarted?.(),
    onEnded: () => Promise.resolve(),
  };
  const runId = hooks.runId ?? makeRunId();
  const outcome = await engine.run(runId, owner, plan, streams, hooks.signals ?? makeSignals());
  return {
    outcome,
    stdout: Buffer.concat(stdout),
    stderr: Buffer.concat(stderr).toString('utf8'),
    artifacts,
    skipped,
    connections,
  };
}
