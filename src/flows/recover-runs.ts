import type { RunRecord } from '../model/record.js';
import { SjsError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Engine, AbandonedRun, Owner } from '../ports/engine.js';
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

/**
 * Finishes what sjs processes that died have left: their containers' output and exit code go into the records, and
 * what they made is removed. Runs whose owner lives are not touched, nor anything of another SJS_HOME.
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
  const record = await tools.store.findRecord(run.runId).catch(() => null);
  const limits = record?.limits ?? { timeoutMs: 0, outputBytes: 0 };
  const [stdout, stderr] = await Promise.all([tools.store.createBlob(), tools.store.createBlob()]);
  const streams = {
    onStdout: (chunk: Uint8Array) => stdout.write(chunk),
    onStderr: (chunk: Uint8Array) => stderr.write(chunk),
  };
  const outcome = await tools.engine.recover(run, limits, streams, signal);
  if (!record || !outcome || record.finishedAt !== null) {
    await Promise.all([stdout.discard(), stderr.discard()]);
    if (record && record.finishedAt === null) await closeLost(run.runId, tools);
    return;
  }
  const [out, err] = await Promise.all([stdout.commit(), stderr.commit()]);
  await tools.store.saveRecord(
    finishRecord(record, outcome, {
      stdin: record.stdin,
      stdout: { ...out, truncated: outcome.truncated.stdout },
      stderr: { ...err, truncated: outcome.truncated.stderr },
      artifacts: [],
      // The volume is gone with its last container; nobody knows what was in it.
      skippedArtifacts: [{ path: '.', reason: 'the sjs that would have collected it was killed' }],
    }),
  );
  tools.reporter.warn(`run ${record.id} lost its sjs; its outcome was read from the engine`);
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
