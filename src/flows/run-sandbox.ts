import type { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import { sha256 } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { ArtifactRecord, RunRecord } from '../model/record.js';
import type { RunPlan, RunRequest } from '../model/run-plan.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Clock } from '../ports/clock.js';
import type { Engine, EngineFacts, Owner, RunSignals, RunStreams } from '../ports/engine.js';
import type { BlobWriter, RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { planRun } from '../stages/plan/plan-run.js';
import { checkFloors } from '../stages/policy/check-floors.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { failRecord, finishRecord, startRecord } from '../stages/record/run-record.js';
import { findSealedImage, type TargetTools } from './find-target.js';

/** What a run needs of the world. */
export interface RunTools extends TargetTools {
  readonly engine: Engine;
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
  readonly sjsVersion: string;
  readonly seccompProfile: () => Promise<string>;
  /** The operator's policy; a sealed image has no repository around it. */
  readonly loadPolicy: () => Promise<Policy>;
}

/** Where a run's bytes go while it runs, beside its record. A throw (a closed pipe) ends the run. */
export interface RunOutput {
  readonly stdin: Readable | null;
  readonly onStdout: (chunk: Uint8Array) => void | Promise<void>;
  readonly onStderr: (chunk: Uint8Array) => void | Promise<void>;
  readonly onArtifact?: (path: string, content: AsyncIterable<Uint8Array>) => Promise<void>;
  /** The program runs. */
  readonly onStarted?: () => void;
}

/** stdin beyond this is passed on but not kept: such a run cannot be replayed (ATTACKS d). */
export const STDIN_KEPT_BYTES = 64 * 1024 ** 2;

/**
 * Runs a sealed image: seal check, policy check, record, engine, record. Returns the finished record; what the code
 * did is in its `state` and `exitCode`, and never an exception.
 * @throws SjsError when nothing ran: `TARGET_*`, `SEAL_*`, `POLICY_VIOLATION`, `RIGHTS_WIDENED`, `SECRET_*`,
 * `CONTROL_MISSING`, `ENGINE_*`. With the error of an engine that failed in the middle, the record says so too.
 */
export async function runSandbox(
  target: string,
  request: RunRequest,
  output: RunOutput,
  signals: RunSignals,
  tools: RunTools,
): Promise<RunRecord> {
  const policyLoading = tools.loadPolicy();
  const probing = tools.engine.probe(signals.abort);
  const profile = tools.seccompProfile();
  for (const pending of [policyLoading, probing, profile]) pending.catch(() => undefined);
  const sealed = await findSealedImage(target, tools, signals.abort);
  const policy = await policyLoading;
  checkSealedPlan(policy, sealed.labels, sealed.entry.base.digest);
  const plan = planRun(sealed, request, await profile);
  const facts = probing.then((found) => requireControls(found, policy));
  return executeRun({ sealed, plan, request, policy, facts, replayOf: null }, output, signals, tools);
}

/** A control that the engine cannot enforce, or an engine below the policy's floors, is refused before anything runs. */
export function requireControls(facts: EngineFacts, policy: Policy): EngineFacts {
  checkFloors(policy, { engine: facts.version, runc: facts.runtimeVersion });
  if (facts.missingControls.length === 0) return facts;
  const list = facts.missingControls.map(({ control, reason }) => `${control} (${reason})`).join(', ');
  throw new SjsError('CONTROL_MISSING', `${facts.name} ${facts.version} cannot enforce ${list}`, {
    next: 'sjs doctor says what this machine lacks and how to mend it',
  });
}

/** Everything decided about one run. */
export interface DecidedRun {
  readonly sealed: SealedImage;
  readonly plan: RunPlan;
  readonly request: RunRequest;
  readonly policy: Policy;
  /** Rejects when the engine must not be used: then nothing runs. */
  readonly facts: Promise<EngineFacts>;
  readonly replayOf: string | null;
}

/** Writes the record, runs, finishes the record. Shared by run and replay. */
export async function executeRun(
  run: DecidedRun,
  output: RunOutput,
  signals: RunSignals,
  tools: RunTools,
): Promise<RunRecord> {
  const { store } = tools;
  const id = tools.createId();
  const [owner, secrets] = await Promise.all([tools.owner(), fingerprintAll(run.plan.secrets, store)]);
  // The first thing on disk, while the engine makes the container; one that it finds without a record, recovery removes.
  const begin = async (): Promise<RunRecord> => {
    const started = startRecord({
      id,
      owner,
      sealed: run.sealed,
      plan: run.plan,
      env: run.request.env,
      secrets,
      engine: await run.facts,
      policyDigest: run.policy.digest,
      sjsVersion: tools.sjsVersion,
      createdAt: tools.clock.now(),
      replayOf: run.replayOf,
    });
    // Until it is known what the program was given, the record says that it is not.
    const stdin = output.stdin ? { digest: sha256(''), bytes: 0, truncated: true } : null;
    const record = { ...started, stdin };
    await store.saveRecord(record);
    return record;
  };
  const begun = begin();
  begun.catch(() => undefined);
  const [stdout, stderr, stdin] = await Promise.all([
    store.createBlob(),
    store.createBlob(),
    output.stdin ? store.createBlob() : null,
  ]);
  const blobs = [stdout, stderr, ...(stdin ? [stdin] : [])];
  const artifacts: ArtifactRecord[] = [];
  const skipped: { path: string; reason: string }[] = [];
  /** What the receiver of artifacts failed with; told after the run is recorded. */
  const receiverErrors: unknown[] = [];
  let saving: Promise<void> = Promise.resolve();
  let finished = null as RunRecord | null;
  const kept = stdin && output.stdin ? keepStdin(output.stdin, stdin) : null;
  const streams: RunStreams = {
    stdin: kept?.stream ?? null,
    onStdout: async (chunk) => void (await Promise.all([stdout.write(chunk), output.onStdout(chunk)])),
    onStderr: async (chunk) => void (await Promise.all([stderr.write(chunk), output.onStderr(chunk)])),
    onArtifact: async (path, _bytes, content) =>
      void artifacts.push(await keepArtifact(path, content, store, output, receiverErrors)),
    onSkippedArtifact: (path, reason) => void skipped.push({ path, reason }),
    beforeStart: async () => void (await begun),
    onStarted: () => {
      output.onStarted?.();
      const startedAt = new Date(tools.clock.now()).toISOString();
      saving = begun
        .then((record) => store.saveRecord({ ...record, state: 'running', startedAt }))
        .catch((error: unknown) => tools.reporter.debug(String(error)));
    },
    onEnded: async (outcome) => {
      await saving;
      const commit = async (blob: BlobWriter, truncated: boolean) => ({
        ...(await blob.commit()),
        truncated,
      });
      const [out, err, input] = await Promise.all([
        commit(stdout, outcome.truncated.stdout),
        commit(stderr, outcome.truncated.stderr),
        stdin && kept ? commit(stdin, kept.truncated()) : null,
      ]);
      finished = finishRecord(await begun, outcome, {
        stdin: input,
        stdout: out,
        stderr: err,
        artifacts,
        skippedArtifacts: skipped,
      });
      await store.saveRecord(finished);
    },
  };
  try {
    await tools.engine.run(id, owner, run.plan, streams, signals);
    if (receiverErrors.length > 0) throw receiverErrors[0];
    if (finished === null) throw new SjsError('INTERNAL', 'the engine did not say how the run ended');
    return finished;
  } catch (error) {
    const [beginning] = await Promise.allSettled([begun, saving]);
    await Promise.all(blobs.map((blob) => blob.discard().catch(() => undefined)));
    // What kept the run from beginning counts, whatever else failed on the way.
    if (beginning.status === 'rejected') throw beginning.reason;
    // What was kept stays kept; and a full disk must not hide what went wrong first: recovery finishes the record.
    if (finished === null) {
      await store
        .saveRecord(failRecord(beginning.value, error, tools.clock.now()))
        .catch((second: unknown) => tools.reporter.debug(String(second)));
    }
    throw error;
  }
}

async function fingerprintAll(
  secrets: Readonly<Record<string, string>>,
  store: RecordStore,
): Promise<Record<string, string>> {
  const entries = Object.entries(secrets).map(
    async ([name, value]) => [name, await store.fingerprint(`${name}\0${value}`)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** Passes stdin on and keeps what the program was given, up to a bound. */
function keepStdin(source: Readable, blob: BlobWriter): { stream: Readable; truncated: () => boolean } {
  let truncated = false;
  const stream = source.compose(async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      const room = STDIN_KEPT_BYTES - blob.bytes;
      if (chunk.length > room) truncated = true;
      if (room > 0) await blob.write(chunk.subarray(0, room));
      yield chunk;
    }
  }) as Readable;
  return { stream, truncated: () => truncated };
}

async function keepArtifact(
  path: string,
  content: AsyncIterable<Uint8Array>,
  store: RecordStore,
  output: RunOutput,
  receiverErrors: unknown[],
): Promise<ArtifactRecord> {
  const blob = await store.createBlob();
  try {
    for await (const chunk of content) await blob.write(chunk);
    const { digest, bytes } = await blob.commit();
    await output
      .onArtifact?.(path, store.openBlob(digest))
      .catch((error: unknown) => void receiverErrors.push(error));
    return { path, digest, bytes };
  } catch (error) {
    await blob.discard();
    throw error;
  }
}
