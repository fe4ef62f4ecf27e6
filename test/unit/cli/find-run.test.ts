import { expect, test } from '@jest/globals';
import { findRunOrNull } from '../../../src/cli/find-run.js';
import { SjsError, type RunRecord, type Sjs } from '../../../src/index.js';

const missing = {
  findRun: () => Promise.reject(new SjsError('RUN_NOT_FOUND', 'there is no such run')),
} as Partial<Sjs> as Sjs;

test('a run is found by the beginning of its id', async () => {
  const record = { id: '01K5ZQ8VABCDEFGHJKMNPQRSTV' } as RunRecord;
  const sjs = { findRun: () => Promise.resolve(record) } as Partial<Sjs> as Sjs;
  expect(await findRunOrNull('01K5ZQ8V', sjs)).toBe(record);
  expect(await findRunOrNull('my-job', sjs)).toBeNull();
});

test('what can only be a run and is none is said to be none; digits can be those of a seal', async () => {
  for (const target of ['01K5ZQ8V', '01K5ZQ8VABCDEFGHJKMNPQRSTV', '01k5zq8vabcdefghjkmnpqrstv'])
    await expect(findRunOrNull(target, missing)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  expect(await findRunOrNull('0123456', missing)).toBeNull();
  expect(await findRunOrNull('01abcdef', missing)).toBeNull();
});
