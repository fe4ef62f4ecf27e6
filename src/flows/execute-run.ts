import type { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import type { Answer } from '../model/call.js';
import { sha256 } from '../model/digest.js';
import type { PublishedPort } from '../model/network.js';
import type { Policy } from '../model/policy.js';
import {
  isFinished,
  MOST_CONNECTIONS,
  type ArtifactRecord,
  type ConnectionRecord,
  type RunRecord,
} from '../model/record.js';
import { splitCommand } from '../model/split-command.js';
import type { RunPlan, RunRequest } from '../model/run-plan.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { UsedWaiver } from '../model/waiver.js';
import type { Clock } from '../ports/clock.js';
import type { Engine, EngineFacts, Owner, RunSignals, RunStreams } from '../ports/engine.js';
import type { BlobWriter, RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { readerOf, type ReadPiece } from '../stages/call/read-given.js';
import { writeCall, writeCode, writeRun } from '../stages/call/write-request.js';
import { failRecord, finishRecord, startRecord, withConnections } from '../stages/record/run-record.js';
import { commitOutput, keepArtifact, keepBytes, keepOutput, streamOf } from './keep-output.js';
import { noteOutputTimes } from './note-output-times.js';
import { receiveSignals } from './receive-signals.js';
import { relayOutput, waitForReceiver } from './relay-output.js';

/** What it takes to run what is decided, and to record it. */
export interface ExecuteTools {
  readonly engine: Engine;
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
  readonly sjsVersion: string;
}

/**
 * Where a run's bytes go while it runs, beside its record. A throw (a closed pipe) ends the run: it is recorded as
 * interrupted, and the error thrown again afterwards. One that is slow is waited for, when the run is over and recorded.
 */
export interface RunOutput {
  readonly stdin: Readable | null;
  readonly onStdout: (chunk: Uint8Array) => void | Promise<void>;
  readonly onStderr: (chunk: Uint8Array) => void | Promise<void>;
  readonly onArtifact?: (path: string, content: AsyncIterable<Uint8Array>) => Promise<void>;
  /** Where its ports are published, before it runs. */
  readonly onPorts?: (ports: readonly PublishedPort[]) => void;
  /** The program runs; its record can be found by this id. */
  readonly onStarted?: (runId: string) => void;
  /** The answer of a call, when the run is recorded. */
  readonly onAnswer?: (answer: Answer) => void;
}

/** Names of what was left out of /out: the program chooses how many there are. */
const MOST_SKIPPED = 1000;

/** stdin beyond this is passed on but not kept: such a run cannot be replayed (ATTACKS d). */
export const STDIN_KEPT_BYTES = 64 * 1024 ** 2;

/** An engine that a run may use, and what of the policy is waived for that run. */
export interface AllowedEngine extends EngineFacts {
  readonly waivers: readonly UsedWaiver[];
}

/** Everything decided about one run. */
export interface DecidedRun {
  readonly sealed: SealedImage;
  readonly plan: RunPlan;
  readonly request: RunRequest;
  readonly policy: Policy;
  /** Rejects when the engine must not be used: then nothing runs. */
  readonly facts: Promise<AllowedEngine>;
  readonly replayOf: string | null;
  /** Its stdin, where that is known: it is kept before it starts, so that whatever happens it can be replayed. */
  readonly arguments?: Uint8Array;
  /** The container that was started ahead, and has this run from now on. */
  readonly member?: RunMember;
}

/** A container that was started ahead, as its run sees it. */
export interface RunMember {
  readonly id: string;
  /** Takes what a power cut could still undo: such a run does not wait for the disk. */
  readonly onWritten: (durable: Promise<unknown>) => void;
}

/** Content on its way into the store. */
type Writing = Pick<ReturnType<BlobWriter['finish']>, 'placed' | 'kept'>;

/** Writes the record, runs, finishes the record. Shared by run and replay. */
export async function executeRun(
  run: DecidedRun,
  output: RunOutput,
  signals: RunSignals,
  tools: ExecuteTools,
): Promise<RunRecord> {
  const { store } = tools;
  const id = tools.createId();
  const [owner, secrets] = await Promise.all([tools.owner(), fingerprintAll(run.plan.secrets, store)]);
  /** The newest state of the record. */
  let record = null as RunRecord | null;
  const when = run.member ? 'soon' : 'now';
  const known = run.arguments ? keepBytes(run.arguments, store, when) : null;
  const save = async (next: RunRecord, contents: readonly Writing[]): Promise<void> => {
    const kept = Promise.all(contents.map((content) => content.kept));
    // It may fail before anybody waits for it.
    kept.catch(() => undefined);
    if (!run.member) return store.saveRecord(next, kept);
    await Promise.all(contents.map(({ placed }) => placed));
    const { durable } = await store.putRecord(next);
    run.member.onWritten(Promise.all([kept, durable]));
  };
  // The first thing on disk, while the engine makes the container; one that it finds without a record, recovery removes.
  const begin = async (): Promise<RunRecord> => {
    const facts = await run.facts;
    const started = startRecord({
      id,
      owner,
      sealed: run.sealed,
      plan: run.plan,
      env: run.request.env,
      secrets,
      engine: facts,
      waivers: facts.waivers,
      policyDigest: run.policy.digest,
      sjsVersion: tools.sjsVersion,
      createdAt: tools.clock.now(),
      replayOf: run.replayOf,
      call: run.request.call ?? null,
      member: run.member?.id ?? null,
    });
    // Until it is known what the program was given, the record says that it is not.
    const unknown = output.stdin ? { digest: sha256(''), bytes: 0, truncated: true } : null;
    const created = { ...started, stdin: known ? { ...known.content, truncated: false } : unknown };
    await save((record = created), known ? [known] : []);
    return created;
  };
  let begun = begin();
  begun.catch(() => undefined);
  const [stdout, stderr, timesBlob, stdin] = await Promise.all([
    store.createBlob({ runId: id, stream: 'stdout' }),
    store.createBlob({ runId: id, stream: 'stderr' }),
    store.createBlob({ runId: id, stream: 'times' }),
    output.stdin && !known ? store.createBlob() : null,
  ]);
  const times = noteOutputTimes(timesBlob, tools.clock, stdout, stderr);
  const blobs = [stdout, stderr, timesBlob, ...(stdin ? [stdin] : [])];
  const artifacts: ArtifactRecord[] = [];
  const skipped: { path: string; reason: string }[] = [];
  const connections: ConnectionRecord[] = [];
  /** What the receiver of artifacts failed with; told after the run is recorded. */
  const receiverErrors: unknown[] = [];
  const keep = keepOutput();
  let saving: Promise<void> = Promise.resolve();
  let isInputCut = false;
  const receiverGone = new AbortController();
  const relay = relayOutput(output, () => receiverGone.abort());
  const abort = signals.abort ? AbortSignal.any([signals.abort, receiverGone.signal]) : receiverGone.signal;
  const reader = readerOf(id, { call: run.request.call, code: run.sealed.labels.plan.code });
  const onOutput = {
    stdout: async (chunk: Uint8Array) => {
      times.note();
      await Promise.all([keep(stdout, chunk), relay.onStdout(chunk)]);
    },
    stderr: async (chunk: Uint8Array) => {
      times.note();
      await Promise.all([keep(stderr, chunk), relay.onStderr(chunk)]);
    },
  };
  const deliver = async (pieces: readonly ReadPiece[]): Promise<void> => {
    for (const { stream, data } of pieces) await onOutput[stream](data);
  };
  const streams: RunStreams = {
    // What is known as a whole is in the head.
    stdin: known ? null : output.stdin,
    ...headOf(id, run),
    ...(reader?.answered && { answered: reader.answered }),
    ...(reader?.markBytes && { markBytes: reader.markBytes }),
    onStdin: async (chunk) => {
      const room = STDIN_KEPT_BYTES - (stdin?.bytes ?? 0);
      if (chunk.length > room) isInputCut = true;
      if (room > 0) await stdin?.write(chunk.subarray(0, room));
    },
    onStdout: async (chunk) => {
      await deliver(reader?.read('stdout', chunk) ?? [{ stream: 'stdout', data: chunk }]);
    },
    onStderr: async (chunk) => {
      await deliver(reader?.read('stderr', chunk) ?? [{ stream: 'stderr', data: chunk }]);
    },
    onArtifact: async (path, _bytes, content) =>
      void artifacts.push(await keepArtifact(path, content, store, output, receiverErrors)),
    onSkippedArtifact: (path, reason) => {
      if (skipped.length < MOST_SKIPPED) skipped.push({ path, reason });
      else if (skipped.length === MOST_SKIPPED) skipped.push({ path: '…', reason: 'more were left out' });
    },
    onConnection: (connection) => {
      if (connections.length < MOST_CONNECTIONS) connections.push(connection);
    },
    onPorts: (ports) => {
      begun = begun.then((created) => (record = withNetwork(created, { ports })));
      begun.catch(() => undefined);
      output.onPorts?.(ports);
    },
    beforeStart: async () => void (await begun),
    onStarted: () => {
      output.onStarted?.(id);
      if (run.member !== undefined) return;
      const startedAt = new Date(tools.clock.now()).toISOString();
      saving = begun
        .then((created) => store.saveRecord((record = { ...created, state: 'running', startedAt })))
        .catch((error: unknown) => tools.reporter.debug(String(error)));
    },
    onEnding: () => relay.release(),
    onEnded: async (outcome) => {
      await saving;
      const created = await begun;
      if (reader) await deliver(reader.end());
      const answer = reader?.answer ?? null;
      const [out, err, input] = [stdout, stderr, stdin].map((blob) => blob?.finish(when) ?? null);
      const given = answer && keepBytes(answer.json, store, when);
      const answered = answer && given && { kind: answer.kind, ...given.content };
      await timesBlob.discard();
      // Of a program that has answered all that counts has come.
      const isCut = (stream: 'stdout' | 'stderr'): boolean =>
        outcome.truncated[stream] && outcome.end !== 'answered';
      const finished = finishRecord(created, outcome, {
        ...(created.call && { call: { ...created.call, answer: answered } }),
        ...(created.code && { code: { answer: answered } }),
        outputTimes: times.since(Date.parse(created.createdAt)),
        stdin: input ? streamOf(input, isInputCut) : created.stdin,
        stdout: out ? streamOf(out, isCut('stdout')) : null,
        stderr: err ? streamOf(err, isCut('stderr')) : null,
        artifacts,
        skippedArtifacts: skipped,
        network: withConnections((await begun).network, connections, outcome.omittedConnections),
      });
      await save(
        finished,
        [out, err, input, given].flatMap((content) => (content ? [content] : [])),
      );
      record = finished;
    },
  };
  try {
    const asked = receiveSignals(id, signals, store);
    await tools.engine.run(id, owner, run.plan, streams, { subscribe: asked, abort });
  } catch (error) {
    relay.release();
    const [beginning] = await Promise.allSettled([begun, saving]);
    // What was kept stays kept; and a full disk must not hide what went wrong first: recovery finishes the record.
    if (record && beginning.status === 'fulfilled' && !isFinished(record)) {
      const written = record.startedAt === null ? null : await commitOutput(stdout, stderr).catch(() => null);
      await store
        .saveRecord(
          failRecord(
            { ...record, ...written, network: withConnections(record.network, connections) },
            error,
            tools.clock.now(),
          ),
        )
        .catch((second: unknown) => tools.reporter.debug(String(second)));
    }
    await Promise.all(blobs.map((blob) => blob.discard().catch(() => undefined)));
    // What kept the run from beginning counts, whatever else failed on the way.
    throw beginning.status === 'rejected' ? beginning.reason : error;
  }
  if (record === null) throw new SjsError('INTERNAL', 'the engine did not say how the run ended');
  await waitForReceiver(relay, record.state === 'interrupted', signals.abort);
  if (reader?.answer) output.onAnswer?.(reader.answer);
  const failure = relay.failure ?? (receiverErrors.length > 0 ? { error: receiverErrors[0] } : null);
  if (failure) throw failure.error;
  return record;
}

/**
 * What stands ahead of stdin: the call; or of a container that was started ahead, that it is to run its program. Behind
 * that all of stdin, where it is known.
 */
function headOf(
  id: string,
  { request, plan, sealed, member, arguments: given = Buffer.of() }: DecidedRun,
): Pick<RunStreams, 'head'> {
  if (request.call) return { head: Buffer.concat([writeCall(id, request.call, given.length), given]) };
  if (sealed.labels.plan.code !== undefined) return { head: Buffer.concat([writeCode(id), given]) };
  if (member === undefined) return {};
  // What the command gives the program stands ahead of the run's arguments.
  const own = splitCommand(plan.command, sealed.labels.plan.language).author.slice(2);
  return { head: writeRun([...own, ...plan.args]) };
}

function withNetwork(record: RunRecord, known: { readonly ports: readonly PublishedPort[] }): RunRecord {
  return record.network.mode === 'none' ? record : { ...record, network: { ...record.network, ...known } };
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
