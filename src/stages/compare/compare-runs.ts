import {
  answerOf,
  type Difference,
  type ReplayVerdict,
  type RunRecord,
  type RunState,
  type StreamRecord,
} from '../../model/record.js';

/** Why the output of a run in that state may lack its end; absent for runs that ended by themselves. */
const CUT: Partial<Record<RunState, string>> = {
  'timed-out': 'was ended by its time limit',
  'out-of-memory': 'was ended by its memory limit',
  'output-limit': 'was ended by its output limit',
  interrupted: 'was interrupted',
  killed: 'was killed from outside',
};

/** States that say what somebody else did, not what the program does. */
const EXTERNAL: readonly RunState[] = ['interrupted', 'killed'];

/** The whole of /out, in a list of skipped paths. */
const ALL_ARTIFACTS = '.';

interface Findings {
  readonly differences: Difference[];
  readonly notCompared: { field: string; reason: string }[];
}

/** Whether the longer of two outputs begins with the shorter, where the contents of both are kept; null where not. */
export type Beginnings = Readonly<Record<'stdout' | 'stderr', boolean | null>>;

/**
 * Whether a replay did what the first run did, by state, exit code, output and artifacts; never by durations or usage
 * (SPEC §8). `reproduced` is true when the states could be compared and nothing that could be compared differs.
 */
export function compareRuns(
  original: RunRecord,
  replay: RunRecord,
  beginnings: Beginnings = { stdout: null, stderr: null },
): ReplayVerdict {
  const findings: Findings = { differences: [], notCompared: [] };
  const stateCompared = compareEnds(original, replay, findings);
  for (const name of ['stdout', 'stderr'] as const)
    compareStream(name, original, replay, beginnings[name], findings);
  compareArtifacts(original, replay, findings);
  compareAnswers(original, replay, findings);
  if (original.network.mode !== 'none' && original.network.gateway !== null) {
    const reason = 'what others sent, and when, is not kept: output may differ by it';
    findings.notCompared.push({ field: 'network.connections', reason });
  }
  return {
    reproduced: stateCompared && findings.differences.length === 0,
    ...findings,
    environment: compareEnvironment(original, replay),
  };
}

/** Compares state and exit code; false when they could not be. */
function compareEnds(original: RunRecord, replay: RunRecord, findings: Findings): boolean {
  const reason = [original, replay].map((run) => whyNoEnd(run, run === original)).find((why) => why !== null);
  if (reason !== undefined) {
    findings.notCompared.push({ field: 'state', reason }, { field: 'exitCode', reason });
    return false;
  }
  if (original.state !== replay.state) differ(findings, 'state', original.state, replay.state);
  if (original.exitCode !== replay.exitCode) {
    const cut = CUT[original.state];
    if (cut !== undefined && original.state === replay.state) {
      findings.notCompared.push({ field: 'exitCode', reason: `each run ${cut}` });
    } else {
      differ(findings, 'exitCode', original.exitCode, replay.exitCode);
    }
  }
  return true;
}

function whyNoEnd(run: RunRecord, first: boolean): string | null {
  const which = first ? 'the first run' : 'the replay';
  if (run.error !== null) return `${which} could not be carried out (${run.error.code})`;
  if (run.finishedAt === null) return `${which} has not ended`;
  return EXTERNAL.includes(run.state) ? `${which} ${CUT[run.state] ?? ''}` : null;
}

/**
 * Two outputs of the same length are both whole or cut at the same place: then their digests decide. Of different
 * lengths, the shorter one decides: if it is whole, they differ; if it was cut, so they do where the longer one does not
 * begin with it.
 */
function compareStream(
  name: 'stdout' | 'stderr',
  original: RunRecord,
  replay: RunRecord,
  begin: boolean | null,
  findings: Findings,
): void {
  const [expected, actual] = [original[name], replay[name]];
  if (expected === null || actual === null) {
    const which = expected === null ? 'the first run' : 'the replay';
    findings.notCompared.push({ field: name, reason: `the output of ${which} is not known` });
    return;
  }
  if (expected.digest === actual.digest) return;
  const shorter = expected.bytes < actual.bytes ? original : replay;
  const cut = expected.bytes === actual.bytes ? undefined : whyCut(shorter, name);
  if (cut === undefined || begin === false) {
    differ(findings, name, expected, actual);
  } else {
    const which = shorter === original ? 'the first run' : 'the replay';
    findings.notCompared.push({ field: name, reason: `${which} ${cut}, and how far it got is chance` });
  }
}

function whyCut(run: RunRecord, name: 'stdout' | 'stderr'): string | undefined {
  return (
    CUT[run.state] ?? ((run[name] as StreamRecord).truncated ? 'was cut at its output limit' : undefined)
  );
}

function compareArtifacts(original: RunRecord, replay: RunRecord, findings: Findings): void {
  const skipped = new Map(
    [...replay.skippedArtifacts, ...original.skippedArtifacts].map(({ path, reason }) => [path, reason]),
  );
  const all = skipped.get(ALL_ARTIFACTS);
  if (all !== undefined) {
    findings.notCompared.push({ field: 'artifacts', reason: all });
    return;
  }
  const [before, after] = [original, replay].map(
    (run) => new Map(run.artifacts.map(({ path, digest, bytes }) => [path, { digest, bytes }])),
  ) as [Map<string, object>, Map<string, object>];
  const cut = [original, replay].find((run) => CUT[run.state] !== undefined);
  for (const path of [...new Set([...before.keys(), ...after.keys(), ...skipped.keys()])].sort()) {
    const field = `artifacts/${path}`;
    const [expected, actual] = [before.get(path) ?? null, after.get(path) ?? null];
    // A name that cannot be shown is written with other characters, which can be the name of a file as well.
    const reason = expected && actual ? undefined : skipped.get(path);
    if (reason !== undefined) {
      findings.notCompared.push({ field, reason });
    } else if (JSON.stringify(expected) !== JSON.stringify(actual)) {
      if (cut === undefined) differ(findings, field, expected, actual);
      else {
        const which = cut === original ? 'the first run' : 'the replay';
        findings.notCompared.push({ field, reason: `${which} ${CUT[cut.state] ?? ''} before it was done` });
      }
    }
  }
}

/** The answers of two calls; of a call that was cut short, whether it got to one is chance. */
function compareAnswers(original: RunRecord, replay: RunRecord, findings: Findings): void {
  const [expected, actual] = [original, replay].map(answerOf);
  if (JSON.stringify(expected) === JSON.stringify(actual)) return;
  const cut = [original, replay].find((run) => CUT[run.state] !== undefined);
  if (cut === undefined) return differ(findings, 'answer', expected, actual);
  const which = cut === original ? 'the first run' : 'the replay';
  findings.notCompared.push({
    field: 'answer',
    reason: `${which} ${CUT[cut.state] ?? ''} before it answered`,
  });
}

function compareEnvironment(original: RunRecord, replay: RunRecord): Difference[] {
  const facts = (run: RunRecord): readonly [string, string | null][] => [
    ['engine.name', run.engine.name],
    ['engine.version', run.engine.version],
    ['engine.runtime', run.engine.runtime],
    ['engine.runtimeVersion', run.engine.runtimeVersion],
    ['engine.kernel', run.engine.kernel],
    ['seccompDigest', run.seccompDigest],
    ['policyDigest', run.policyDigest],
    ['sjsVersion', run.sjsVersion],
  ];
  const now = new Map(facts(replay));
  return facts(original)
    .map(([field, expected]) => ({ field, expected, actual: now.get(field) ?? null }))
    .filter(({ expected, actual }) => expected !== actual);
}

function differ({ differences }: Findings, field: string, expected: unknown, actual: unknown): void {
  differences.push({ field, expected, actual });
}
