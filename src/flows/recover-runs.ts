import { setMaxListeners } from 'node:events';
import { isFinished, MOST_CONNECTIONS, type ConnectionRecord } from '../model/record.js';
import { SjsError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { AbandonedRun, Engine, Owner, RunOutcome } from '../ports/engine.js';
import type { RecordStore, SignalRequest } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { readerOf } from '../stages/call/read-given.js';
import { failRecord, finishRecord, withConnections } from '../stages/record/run-record.js';
import { findOrNull } from './find-or-null.js';
import { keepAnswer } from './keep-output.js';

/** What recovery needs of the world. */
export interface RecoverTools {
  readonly engine: Engine;
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly isOwnerAlive: (owner: Owner) => Promise<boolean>;
  /** This process. */
  readonly owner: () => Promise<Owner>;
}

/** How long a command waits for a program that goes on without its sjs, within its limit. */
const PATIENCE_MS = 5000;

/**
 * Finishes what sjs processes that died have left: their containers' output and exit code go into the records, and
 * what they made is removed. Runs whose owner lives are not touched, nor anything of another SJS_HOME; a program that is
 * still within its limit may go on, and its outcome is read by a later command.
 */
export async function recoverRuns(
  tools: RecoverTools,
  signal?: AbortSignal,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const [left, open] = await Promise.all([
    tools.engine.listRuns(tools.store.home, signal),
    tools.store.listOpen(),
  ]);
  // What is only in the way must not keep runs from being finished.
  await tools.store.removeStaleTemp().catch((error: unknown) => {
    tools.reporter.warn(`what dead processes left could not be removed: ${String(error)}`);
  });
  const alive = new Set<string>();
  const runs = await runsOfMembers(open, tools);
  const idOf = ({ runId }: AbandonedRun): string => runs.get(runId) ?? runId;
  const patience = AbortSignal.timeout(patienceMs);
  // Each run listens, and there may be many.
  setMaxListeners(0, patience, ...(signal ? [signal] : []));
  await Promise.all(
    left.map(async (run) => {
      if (await tools.isOwnerAlive(run.owner)) return void alive.add(idOf(run));
      try {
        await recoverOne(run, idOf(run), tools, patience, signal);
      } catch (error) {
        // One that cannot be recovered must not keep the others from it.
        tools.reporter.warn(`run ${idOf(run)} could not be recovered: ${String(error)}`);
      }
    }),
  );
  for (const id of open) {
    if (!alive.has(id) && !left.some((run) => idOf(run) === id)) await closeLost(id, tools);
  }
}

/** The run that each container started ahead was claimed for, by the id that the container has. */
async function runsOfMembers(
  open: readonly string[],
  { store }: RecoverTools,
): Promise<ReadonlyMap<string, string>> {
  const records = await Promise.all(open.map((id) => findOrNull(id, store)));
  return new Map(records.flatMap((record) => (record?.member ? [[record.member, record.id]] : [])));
}

/**
 * Whether a run without a record is of this SJS_HOME: it may be a stranger's with the same path for its home, on another
 * machine or in another container. What was started ahead has no record for most of its time, and says whose it is.
 */
async function isOurs({ runId, owner, mark }: AbandonedRun, tools: RecoverTools): Promise<boolean> {
  if (owner.bootId === (await tools.owner()).bootId) return true;
  return mark !== undefined && mark === (await markMember(runId, tools.store));
}

/** What a container that was started ahead is marked with: nobody else has this home's key. */
export const markMember = (id: string, store: Pick<RecordStore, 'fingerprint'>): Promise<string> =>
  store.fingerprint(`member\0${id}`);

async function recoverOne(
  run: AbandonedRun,
  id: string,
  tools: RecoverTools,
  patience: AbortSignal,
  signal?: AbortSignal,
): Promise<void> {
  const { store, reporter } = tools;
  const found = await findOrNull(id, store);
  if (!found && !(await isOurs(run, tools))) return;
  const record = found && !isFinished(found) ? found : null;
  const [stdout, stderr] = await Promise.all([store.createBlob(), store.createBlob()]);
  const connections: ConnectionRecord[] = [];
  const reader = record && readerOf(id, record);
  const writers = { stdout, stderr };
  const write = async (stream: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> => {
    if (!reader) return writers[stream].write(chunk);
    for (const piece of reader.read(stream, chunk)) await writers[piece.stream].write(piece.data);
  };
  const streams = {
    ...(reader?.markBytes && { markBytes: reader.markBytes }),
    onConnection: (connection: ConnectionRecord) => {
      if (connections.length < MOST_CONNECTIONS) connections.push(connection);
    },
    onStdout: (chunk: Uint8Array) => write('stdout', chunk),
    onStderr: (chunk: Uint8Array) => write('stderr', chunk),
    onEnded: async (seen: RunOutcome) => {
      if (!record || isFinished(await store.findRecord(id))) return;
      const outcome = judgeRequests(seen, await store.takeSignals(id));
      for (const { stream, data } of reader?.end() ?? []) await writers[stream].write(data);
      const [out, err] = await Promise.all([stdout.commit(), stderr.commit()]);
      const answer = reader?.answer ?? null;
      const answered = answer && (await keepAnswer(answer, store));
      const contents = {
        ...(record.call && { call: { ...record.call, answer: answered } }),
        ...(record.code && { code: { answer: answered } }),
        stdin: record.stdin,
        stdout: { ...out, truncated: outcome.truncated.stdout },
        stderr: { ...err, truncated: outcome.truncated.stderr },
        artifacts: [],
        // The volume is gone with its last container; nobody knows what was in it.
        skippedArtifacts: [{ path: '.', reason: 'the sjs that would have collected it was killed' }],
        network: withConnections(record.network, connections, outcome.omittedConnections),
      };
      await store.saveRecord(finishRecord(record, outcome, contents));
      reporter.warn(`run ${record.id} lost its sjs; its outcome was read from the engine`);
    },
  };
  const since = record?.member ? record.startedAt : null;
  const limits = { timeoutMs: 0, outputBytes: 0, ...record?.limits, ...(since !== null && { since }) };
  try {
    const outcome = await tools.engine.recover(
      run,
      limits,
      streams,
      signal ? AbortSignal.any([signal, patience]) : patience,
    );
    if (!outcome) await closeLost(id, tools, connections);
  } catch (error) {
    if (!patience.aborted || !(error instanceof SjsError) || error.code !== 'ABORTED') throw error;
    reporter.warn(`run ${id} lost its sjs and goes on until its limit; a later command reads its outcome`);
  } finally {
    await Promise.all([stdout.discard(), stderr.discard()].map((done) => done.catch(() => undefined)));
  }
}

/**
 * What a run without its sjs ended of, when somebody asked for its end: `sjs stop` and `sjs kill` leave what they asked
 * for when their signal has met the program, and take it back when it has not.
 */
export function judgeRequests(outcome: RunOutcome, requests: readonly SignalRequest[]): RunOutcome {
  const asked = requests.find(({ signal }) => !PASSED_ON.includes(signal));
  if (!asked || (outcome.end !== 'exited' && outcome.end !== 'killed')) return outcome;
  return asked.signal === 'SIGKILL'
    ? { ...outcome, end: 'killed' }
    : { ...outcome, end: 'interrupted', interruptedBy: asked.signal };
}

/** Signals that do not ask for the end. */
const PASSED_ON: readonly NodeJS.Signals[] = ['SIGUSR1', 'SIGUSR2'];

async function closeLost(
  id: string,
  tools: RecoverTools,
  connections: readonly ConnectionRecord[] = [],
): Promise<void> {
  const before = await findOrNull(id, tools.store);
  if (!before || isFinished(before) || (await tools.isOwnerAlive(before.owner))) return;
  // Its owner may have finished it between the two looks.
  const record = await tools.store.findRecord(id);
  if (isFinished(record)) return;
  const error = new SjsError(
    'CONTAINER_LOST',
    'the sjs of this run ended, and the engine has no container of it',
  );
  const network = withConnections(record.network, connections);
  await tools.store.saveRecord(failRecord({ ...record, network }, error, tools.clock.now()));
}
