import { expect, test } from '@jest/globals';
import { withRun, withRunOrImage } from '../../../src/cli/find-run.js';
import { SjsError, type RunRecord, type Sjs } from '../../../src/index.js';
import { makeRecord } from '../../support/records.js';

const RUN = '01K5ZQ8VABCDEFGHJKMNPQRSTV';
const record = makeRecord({ id: RUN });
const older = makeRecord({ id: '01K5ZQ8MABCDEFGHJKMNPQRSTV' });

const missing = {
  findRun: () => Promise.reject<RunRecord>(new SjsError('RUN_NOT_FOUND', 'there is no such run')),
  listRecords: () => Promise.resolve([record, older]),
  listRuns: () => Promise.resolve([] as RunRecord[]),
} satisfies Partial<Sjs>;
const orImage = (target: string, sjs: Partial<Sjs> = missing): Promise<RunRecord | null> =>
  withRunOrImage(target, sjs as Sjs, (run) => Promise.resolve(run));

test('a run is found by the beginning of its id', async () => {
  const sjs = { findRun: () => Promise.resolve(record) };
  expect(await orImage('01K5ZQ8V', sjs)).toBe(record);
  expect(await orImage('my-job', sjs)).toBeNull();
});

test('what can only be a run and is none is said to be none; digits can be those of a seal', async () => {
  for (const target of ['01K5ZQ9Z', '01K5ZQ8VABCDEFGHJKMNPQRS00', '01k5zq8vabcdefghjkmnpqrs00'])
    await expect(orImage(target)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  expect(await orImage('0123456')).toBeNull();
  expect(await orImage('01abcdef')).toBeNull();
});

test.each([
  ['one letter of a whole id', `${RUN.slice(0, 20)}X${RUN.slice(21)}`, RUN],
  ['a letter that ids never have', `O${RUN.slice(1)}`, RUN],
  ['a letter too many', `${RUN.slice(0, 10)}A${RUN.slice(10)}`, RUN],
  ['two letters swapped, in lower case', '01k5zq8vacbdefgh', RUN],
  ['one letter of a beginning', '11K5ZQ8V', RUN],
  ['one letter, where two runs are as near', '01K5ZQ8X', undefined],
  ['another id', '01K5ZQ8VTTTTTTTTTTTTTTTTTT', undefined],
  ['too little', '01K5', undefined],
])('mistyped, %s: the run that was probably meant is named', async (_what, target, meant) => {
  const act = (): Promise<RunRecord> => missing.findRun();
  const refused = withRun('logs', target, missing, act);
  await expect(refused).rejects.toMatchObject({
    code: 'RUN_NOT_FOUND',
    next: meant === undefined ? undefined : `did you mean ${meant}? sjs runs lists them`,
  });
});

test('where a run or an image can be named, the error about the image names the run that is near', async () => {
  const noImage = (): Promise<never> => Promise.reject(new SjsError('TARGET_NOT_FOUND', 'no image'));
  await expect(withRunOrImage('11k5zq8v', missing, noImage)).rejects.toMatchObject({
    code: 'TARGET_NOT_FOUND',
    next: `did you mean ${RUN}? sjs runs lists them`,
  });
});

test('the newest run of an image is one that was made here', async () => {
  const imported = makeRecord({ id: RUN, imported: { at: record.createdAt } });
  const listRuns: Sjs['listRuns'] = ({ where } = {}) =>
    Promise.resolve([imported, older].filter((one) => where?.(one)));
  await expect(
    withRun('logs', 'job', { ...missing, listRuns }, () => missing.findRun()),
  ).rejects.toMatchObject({
    next: `its newest run is ${older.id}, which is succeeded: sjs logs ${older.id}`,
  });
});
