import { expect, test } from '@jest/globals';
import { complete } from '../../../src/cli/complete.js';
import { completionVerb } from '../../../src/cli/verbs/completion.js';
import type { Sjs } from '../../../src/index.js';
import { makeEntry, makeId, makeRecord } from '../../support/records.js';
import { runVerbWith } from './fake-context.js';

const sjs: Pick<Sjs, 'listEntries' | 'listRecords'> = {
  listEntries: () =>
    Promise.resolve([
      makeEntry('job'),
      makeEntry('other', { imported: { at: '2026-01-01T00:00:00Z', trustedBy: 'hand' } }),
    ]),
  listRecords: () => Promise.resolve([makeRecord({ id: makeId(1) })]),
};
const [job, other, run] = [makeEntry('job').tag, makeEntry('other').tag, makeId(1)];

test.each([
  ['sjs sta', ['stats']],
  ['sjs --json ima', ['images']],
  [' sjs rep', ['replay']],
  ['sjs po', ['policy', 'pool']],
  ['sjs policy ', ['check', 'explain', 'show', 'trust']],
  ['sjs logs ', [run]],
  ['sjs run ', ['job', job, other]],
  ['sjs clone sjs/o', [other]],
  ['sjs inspect ', [run, 'job', job, other].sort()],
  ['sjs logs --fo', ['--follow']],
  ['sjs run --detache', []],
  ['sjs run job -- ', []],
  ['sjs build ', []],
  ['sjs completion z', ['zsh']],
  ['sjs nothing ', []],
])('%j is completed', async (line, candidates) => {
  expect(await complete(line, sjs)).toEqual(candidates);
});

test('there is a script for each shell', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout } = await runVerbWith('completion', completionVerb, [shell], {});
    expect(stdout).toContain('sjs completion --words');
    const json = await runVerbWith('completion', completionVerb, ['--json', shell], {});
    expect(JSON.parse(json.stdout)).toEqual({ shell, script: stdout });
  }
  await expect(runVerbWith('completion', completionVerb, ['bsh'], {})).rejects.toMatchObject({
    next: 'did you mean bash?',
  });
  expect((await runVerbWith('completion', completionVerb, ['--words', 'sjs r'], sjs)).stdout).toContain(
    'runs\n',
  );
});
