import { isFinished, type RunRecord } from '../model/record.js';
import { SjsError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { AbandonedRun, Engine, Owner, RunOutcome } from '../ports/engine.js';
import type { RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import { failRecord, finishRecord } from '../stages/record/run-record.js';

/** What recovery needs of the world. */
export interface RecoverTools {
  readonly engine: Engine;
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly isOwnerAlive: (owner: Owner) => Promise<boolean>;
}

/** How long a command waits for a program that goes on without its sjs, within its limit. */
const PATIENCE_MS = 5000;

/**
 * Finishes what sjs processes that died have left: their containers' output and exit code go into the records, and
 * what they made is removed. Runs whose owner lives are not touched, nor anything of another SJS_HOME; a program that is
 * still within its limit may go on, and its outcome is read by a later command.
 */
export async function recoverRuns(tools: RecoverTools, signal?: AbortSignal): Promise<void> {
  const [left, open] = await Promise.all([
    tools.engine.listRuns(tools.store.home, signal),
    tools.store.listOpen(),
  ]);
  await tools.store.removeStaleTemp();
  const alive = new Set<string>();
  for (const run of left) {
    if (await tools.isOwnerAlive(run.owner)) alive.add(run.runId);
    else await recoverOne(run, tools, signal);
  }
  for (const id of open) {
    if (!alive.has(id) && !left.some((run) => run.runId === id)) await closeLost(id, tools);
  }
}

async function recoverOne(run: AbandonedRun, tools: RecoverTools, signal?: AbortSignal): Promise<void> {
  const { store, reporter } = tools;
  const found = await store.findRecord(run.runId).catch(() => null);
  const record = found && !isFinished(found) ? found : null;
  const [stdout, stderr] = await Promise.all([store.createBlob(), store.createBlob()]);
  const streams = {
    onStdout: (chunk: Uint8Array) => stdout.write(chunk),
    onStderr: (chunk: Uint8Array) => stderr.write(chunk),
    onEnded: async (outcome: RunOutcome) => {
      if (!record) return;
      const [out, err] = await Promise.all([stdout.commit(), stderr.commit()]);
      const contents = {
        stdin: record.stdin,
        stdout: { ...out, truncated: outcome.truncated.stdout },
        stderr: { ...err, truncated: outcome.truncated.stderr },
        artifacts: [],
        // The volume is gone with its last container; nobody knows what was in it.
        skippedArtifacts: [{ path: '.', reason: 'the sjs that would have collected it was killed' }],
      };
      await store.saveRecord(finishRecord(record, outcome, contents));
      reporter.warn(`run ${record.id} lost its sjs; its outcome was read from the engine`);
    },
  };
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const limits = record?.limits ?? { timeoutMs: 0, outputBytes: 0 };
  try {
    const outcome = await tools.engine.recover(
      run,
      limits,
      streams,
      signal ? AbortSignal.any([signal, patience]) : patience,
    );
    if (!outcome) await closeLost(run.runId, tools);
  } catch (error) {
    if (!patience.aborted) throw error;
    reporter.warn(
      `run ${run.runId} lost its sjs and goes on until its limit; a later command reads its outcome`,
    );
  } finally {
    await Promise.all([stdout.discard(), stderr.discard()].map((done) => done.catch(() => undefined)));
  }
}

async function closeLost(id: string, tools: RecoverTools): Promise<void> {
  const record: RunRecord | null = await tools.store.findRecord(id).catch(() => null);
  if (!record || record.finishedAt !== null || (await tools.isOwnerAlive(record.owner))) return;
  const error = new SjsError(
    'CONTAINER_LOST',
    `the sjs of this run ended, and the engine has no container of it`,
  );
  await tools.store.saveRecord(failRecord(record, error, tools.clock.now()));
}
