import { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import { isFinished, type ReplayVerdict, type RunRecord } from '../model/record.js';
import type { RunRequest } from '../model/run-plan.js';
import type { RunSignals } from '../ports/engine.js';
import { planRun } from '../stages/plan/plan-run.js';
import { compareRecorded } from './compare-recorded.js';
import { executeRun, STDIN_KEPT_BYTES, type RunOutput } from './execute-run.js';
import { findGateway } from './find-gateway.js';
import { findEntry, findSealedImage } from './find-target.js';
import { admitSeal } from './trust-seal.js';
import { requireControls, withPortWarning, type RunTools } from './run-sandbox.js';

/** A replay: both records and the verdict. */
export interface ReplayResult {
  readonly original: RunRecord;
  readonly replay: RunRecord;
  readonly verdict: ReplayVerdict;
}

/**
 * Runs again what a record says, with the same seal, arguments, environment, stdin and effective limits, and compares.
 * @param target a run id (or at least six characters of it), or a tag, seal or name: then its newest finished run that
 * was made here
 * @param secrets values of the secrets the first run had; compared with their fingerprints
 * @throws SjsError `RUN_NOT_FOUND`, `RUN_UNFINISHED`, `REPLAY_INPUT_MISSING`, `REPLAY_INPUT_CHANGED`, and what a run
 * throws
 */
export async function replayRun(
  target: string,
  secrets: Readonly<Record<string, string>>,
  output: Omit<RunOutput, 'stdin'>,
  signals: RunSignals,
  tools: RunTools,
): Promise<ReplayResult> {
  const original = await findRun(target, tools);
  if (!hasOutcome(original)) {
    throw new SjsError(
      'RUN_UNFINISHED',
      `run ${original.id} is ${original.state}: it never ended on its own and cannot be replayed`,
      {
        next: 'choose a finished run from sjs runs',
      },
    );
  }
  const stdin = await readStdin(original, tools);
  await checkSecrets(original, secrets, tools);
  const [sealed, policy, facts, profile] = await Promise.all([
    findSealedImage(original.seal, tools, signals.abort),
    tools.loadPolicy(),
    tools.engine.probe(signals.abort),
    tools.seccompProfile(),
  ]);
  const { subject, waived } = await admitSeal(sealed, policy, tools, original.limits);
  const request: RunRequest = {
    args: original.args,
    env: original.env,
    secrets,
    limits: original.limits,
    ...(original.call && { call: { export: original.call.export } }),
  };
  const gateway = await findGateway(sealed, subject, policy, tools, signals.abort);
  const plan = planRun(sealed, request, profile, gateway);
  const replay = await executeRun(
    {
      sealed,
      plan,
      request,
      policy,
      facts: Promise.resolve(
        requireControls(withPortWarning(facts, plan), sealed, plan, policy, subject, waived, tools.reporter),
      ),
      replayOf: original.id,
      ...((original.call ?? original.code) && { arguments: Buffer.concat(stdin ?? []) }),
    },
    { ...output, stdin: stdin && Readable.from(stdin, { objectMode: false }) },
    signals,
    tools,
  );
  return { original, replay, verdict: await compareRecorded(original, replay, tools.store) };
}

/** Of a run that sjs or the engine could not see to its end there is nothing to compare with. */
const hasOutcome = (run: RunRecord): boolean =>
  isFinished(run) && run.startedAt !== null && run.error === null;

async function findRun(target: string, tools: RunTools): Promise<RunRecord> {
  if (/^[0-9A-HJKMNP-TV-Z]{6,26}$/i.test(target)) {
    try {
      return await tools.store.findRecord(target);
    } catch (error) {
      if (!(error instanceof SjsError) || error.code !== 'RUN_NOT_FOUND') throw error;
      // Seven and more hex digits can also be a seal.
      if (target.length === 26) throw error;
    }
  }
  const entry = await findEntry(target, tools);
  const isFirst = (run: RunRecord): boolean => hasOutcome(run) && run.replayOf === null;
  const findNewest = async (where: (run: RunRecord) => boolean): Promise<RunRecord | undefined> =>
    (await tools.store.listRecords({ seal: entry.seal, where, limit: 1 }))[0];
  // Anybody can write a record into a file: one from elsewhere is replayed only by its id.
  const newest = await findNewest((run) => isFirst(run) && !run.imported);
  if (newest) return newest;
  const imported = await findNewest(isFirst);
  throw new SjsError('RUN_NOT_FOUND', `there is no finished run of ${entry.tag} that was made here`, {
    next: imported
      ? `the newest one that was imported: sjs replay ${imported.id}`
      : `run it first: sjs run ${entry.tag}`,
  });
}

/**
 * All of it before the program gets any, since at the end of the stream it would be too late to refuse it; and once, so
 * that what was checked is what the program gets. No run keeps more than fits in memory.
 */
async function readStdin(
  { id, stdin }: RunRecord,
  { store }: RunTools,
): Promise<readonly Uint8Array[] | null> {
  if (!stdin) return null;
  if (stdin.truncated || stdin.bytes > STDIN_KEPT_BYTES) {
    throw new SjsError('REPLAY_INPUT_MISSING', `run ${id} read more from stdin than is kept`, {
      next: 'only runs with at most 64Mi of stdin can be replayed',
    });
  }
  if (!(await store.hasBlob(stdin.digest))) {
    throw new SjsError('REPLAY_INPUT_MISSING', `what run ${id} read from stdin is no longer kept`, {
      next: 'choose another run',
    });
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of store.openBlob(stdin.digest) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > stdin.bytes) throw changedStdin(id, `there is more of it than the ${stdin.bytes} bytes`);
      chunks.push(chunk);
    }
  } catch (cause) {
    if (!(cause instanceof SjsError) || cause.code !== 'STORE_INVALID') throw cause;
    throw changedStdin(id, cause);
  }
  return chunks;
}

const changedStdin = (id: string, cause: unknown): SjsError =>
  new SjsError('REPLAY_INPUT_CHANGED', `what is kept of the stdin of run ${id} was changed`, {
    cause,
    next: 'find out who can write to SJS_HOME, and choose another run',
  });

async function checkSecrets(
  { id, secrets: fingerprints }: RunRecord,
  secrets: Readonly<Record<string, string>>,
  { store }: RunTools,
): Promise<void> {
  for (const [name, fingerprint] of Object.entries(fingerprints)) {
    const value = secrets[name];
    const missing = value === undefined;
    if (!missing && (await store.fingerprint(`${name}\0${value}`)) === fingerprint) continue;
    throw new SjsError(
      'REPLAY_INPUT_MISSING',
      `the secret ${name} ${missing ? 'is not given' : `is not the one that run ${id} had`}`,
      {
        next: `give the same value with --secret ${name}`,
      },
    );
  }
}
