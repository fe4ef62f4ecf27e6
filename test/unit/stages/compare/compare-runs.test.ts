import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../../src/model/digest.js';
import type { RunRecord } from '../../../../src/model/record.js';
import { compareRuns } from '../../../../src/stages/compare/compare-runs.js';
import { makeId, makeOpenRecord, makeRecord } from '../../../support/records.js';

const out = (text: string, truncated = false) => ({ digest: sha256(text), bytes: text.length, truncated });
const file = (path: string, text: string) => ({ path, digest: sha256(text), bytes: text.length });

type Run = Partial<RunRecord>;
const call = (text: string | null): Run => ({
  call: {
    export: 'f',
    answer: text === null ? null : { kind: 'value', digest: sha256(text), bytes: text.length },
  },
});
const cut = (state: RunRecord['state'], rest: Run = {}): Run => ({
  state,
  exitCode: 137,
  signal: 'SIGKILL',
  ...rest,
});

/** What differs and what could not be compared, by field. */
const table: [string, Run, Run, boolean, string[], string[]][] = [
  ['equal runs', { stdout: out('a') }, { stdout: out('a') }, true, [], []],
  ['two equal failures', { state: 'failed', exitCode: 3 }, { state: 'failed', exitCode: 3 }, true, [], []],
  [
    'another exit code',
    { state: 'failed', exitCode: 3 },
    { state: 'failed', exitCode: 4 },
    false,
    ['exitCode'],
    [],
  ],
  ['another state', {}, { state: 'failed', exitCode: 1 }, false, ['state', 'exitCode'], []],
  ['another stdout', { stdout: out('a') }, { stdout: out('b') }, false, ['stdout'], []],
  ['a longer stderr', { stderr: out('a') }, { stderr: out('ab') }, false, ['stderr'], []],
  ['unknown output', { stdout: null }, { stdout: out('a') }, true, [], ['stdout']],

  ['equal answers', call('1'), call('1'), true, [], []],
  ['another answer', call('1'), call('2'), false, ['answer'], []],
  ['no answer', call('1'), { ...call(null), state: 'failed' }, false, ['state', 'answer'], []],
  [
    'an answer that was cut off',
    call('1'),
    cut('timed-out', call(null)),
    false,
    ['state', 'exitCode'],
    ['answer'],
  ],

  ['equal files', { artifacts: [file('a', '1')] }, { artifacts: [file('a', '1')] }, true, [], []],
  [
    'another file',
    { artifacts: [file('a', '1')] },
    { artifacts: [file('a', '2')] },
    false,
    ['artifacts/a'],
    [],
  ],
  ['a missing file', { artifacts: [file('a', '1')] }, {}, false, ['artifacts/a'], []],
  ['a new file', {}, { artifacts: [file('a', '1')] }, false, ['artifacts/a'], []],
  [
    'a file that was skipped once',
    { skippedArtifacts: [{ path: 'a', reason: 'too large' }] },
    { artifacts: [file('a', '1')] },
    true,
    [],
    ['artifacts/a'],
  ],
  [
    'files that nobody could collect',
    { skippedArtifacts: [{ path: '.', reason: 'sjs was gone' }] },
    { artifacts: [file('a', '1')] },
    true,
    [],
    ['artifacts'],
  ],

  ['both timed out, equal', cut('timed-out'), cut('timed-out'), true, [], []],
  [
    'both timed out, one got further',
    cut('timed-out', { stdout: out('aa') }),
    cut('timed-out', { stdout: out('a') }),
    true,
    [],
    ['stdout'],
  ],
  [
    'both timed out, as far as each other but otherwise',
    cut('timed-out', { stdout: out('aa') }),
    cut('timed-out', { stdout: out('ab') }),
    false,
    ['stdout'],
    [],
  ],
  [
    'both timed out, one asked to end and one made to',
    cut('timed-out', { exitCode: 143 }),
    cut('timed-out'),
    true,
    [],
    ['exitCode'],
  ],
  [
    'both timed out with other files',
    cut('timed-out', { artifacts: [file('a', '1')] }),
    cut('timed-out'),
    true,
    [],
    ['artifacts/a'],
  ],
  [
    'only the first timed out, with less output',
    cut('timed-out', { stdout: out('a') }),
    { stdout: out('ab') },
    false,
    ['state', 'exitCode'],
    ['stdout'],
  ],
  [
    'only the first timed out, with more output than the whole',
    cut('timed-out', { stdout: out('abc') }),
    { stdout: out('ab') },
    false,
    ['state', 'exitCode', 'stdout'],
    [],
  ],
  [
    'both beyond the output limit, cut at other places',
    cut('output-limit', { stdout: out('aaa', true) }),
    cut('output-limit', { stdout: out('aa', true) }),
    true,
    [],
    ['stdout'],
  ],
  [
    'both cut at the same place, otherwise',
    cut('output-limit', { stdout: out('aaa', true) }),
    cut('output-limit', { stdout: out('aab', true) }),
    false,
    ['stdout'],
    [],
  ],
  [
    'a stream cut in a run that ended by itself',
    { stdout: out('aa', true) },
    { stdout: out('aaa', true) },
    true,
    [],
    ['stdout'],
  ],
  [
    'out of memory at other places',
    cut('out-of-memory', { stdout: out('a') }),
    cut('out-of-memory', { stdout: out('aa') }),
    true,
    [],
    ['stdout'],
  ],
  ['the first was interrupted', cut('interrupted'), {}, false, [], ['state', 'exitCode']],
  [
    'the replay was interrupted',
    { stdout: out('ab') },
    cut('interrupted', { stdout: out('a') }),
    false,
    [],
    ['state', 'exitCode', 'stdout'],
  ],
  ['both were killed', cut('killed'), cut('killed'), false, [], ['state', 'exitCode']],
  [
    'the replay failed for a reason of ours',
    {},
    {
      state: 'failed',
      exitCode: null,
      error: { code: 'ENGINE_FAILED', message: '' },
      stdout: null,
      stderr: null,
    },
    false,
    [],
    ['state', 'exitCode', 'stdout', 'stderr'],
  ],
  ['the replay has not ended', {}, makeOpenRecord(), false, [], ['state', 'exitCode', 'stdout', 'stderr']],
];

test.each(table)('%s', (_name, original, replay, reproduced, differences, notCompared) => {
  const verdict = compareRuns(
    makeRecord(original),
    makeRecord({ ...replay, id: makeId(2), replayOf: makeId(1) }),
  );
  expect(verdict.differences.map(({ field }) => field)).toEqual(differences);
  expect(verdict.notCompared.map(({ field }) => field)).toEqual(notCompared);
  expect(verdict.notCompared.every(({ reason }) => reason.length > 5)).toBe(true);
  expect(verdict.reproduced).toBe(reproduced);
});

describe('the words', () => {
  test('a difference says what was expected and what came', () => {
    const verdict = compareRuns(makeRecord(), makeRecord({ state: 'failed', exitCode: 1 }));
    expect(verdict.differences).toEqual([
      { field: 'state', expected: 'succeeded', actual: 'failed' },
      { field: 'exitCode', expected: 0, actual: 1 },
    ]);
  });

  test('what was not compared says which run and why', () => {
    const verdict = compareRuns(
      makeRecord(cut('timed-out', { stdout: out('aa') })),
      makeRecord(cut('timed-out', { stdout: out('a') })),
    );
    expect(verdict.notCompared).toEqual([
      { field: 'stdout', reason: 'the replay was ended by its time limit, and how far it got is chance' },
    ]);
  });
});

test('durations, usage, times, owner and warnings never count; environment is listed apart', () => {
  const original = makeRecord();
  const replay = makeRecord({
    id: makeId(2),
    durationMs: 5,
    usage: null,
    createdAt: '2027-01-01T00:00:00.000Z',
    startedAt: '2027-01-01T00:00:00.000Z',
    finishedAt: '2027-01-01T00:00:00.000Z',
    owner: { bootId: 'b', pid: 2, startTime: '2', home: '/other' },
    engine: {
      ...original.engine,
      version: '29.0.0',
      runtimeVersion: null,
      kernel: '6.2.0',
      warnings: ['old'],
    },
    seccompDigest: sha256('other'),
    policyDigest: sha256('other'),
    sjsVersion: '0.2.0',
  });
  expect(compareRuns(original, replay)).toEqual({
    reproduced: true,
    differences: [],
    notCompared: [],
    environment: [
      { field: 'engine.version', expected: '28.0.0', actual: '29.0.0' },
      { field: 'engine.runtimeVersion', expected: '1.2.0', actual: null },
      { field: 'engine.kernel', expected: '6.1.0', actual: '6.2.0' },
      { field: 'seccompDigest', expected: sha256('seccomp'), actual: sha256('other') },
      { field: 'policyDigest', expected: sha256('policy'), actual: sha256('other') },
      { field: 'sjsVersion', expected: '0.1.0', actual: '0.2.0' },
    ],
  });
});

test('of a run that was cut short, the output must have begun the same, where that is known', () => {
  const [original, replay] = ['aa', 'b'].map((text) => makeRecord(cut('timed-out', { stdout: out(text) })));
  const reproduced = (stdout: boolean | null): boolean =>
    compareRuns(original as RunRecord, replay as RunRecord, { stdout, stderr: null }).reproduced;
  expect([true, null, false].map(reproduced)).toEqual([true, true, false]);
});

test('a file is compared whatever else is written like its name', () => {
  const skippedArtifacts = [{ path: 'a\\u001b', reason: 'its name has characters that cannot be shown' }];
  const [original, replay] = ['one', 'two'].map((text) =>
    makeRecord({ artifacts: [file('a\\u001b', text)], skippedArtifacts }),
  );
  expect(compareRuns(original as RunRecord, replay as RunRecord)).toMatchObject({
    reproduced: false,
    differences: [{ field: 'artifacts/a\\u001b' }],
  });
});
