import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { withTemporaryFiles } from '../../../../src/adapters/process/temporary-files.js';

const before = process.env['TMPDIR'];
afterEach(() => {
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
});

test('the files are there, for this user alone, as long as they are used', async () => {
  const folder = await withTemporaryFiles({ 'a.txt': 'one' }, async (paths) => {
    expect(readFileSync(paths['a.txt'], 'utf8')).toBe('one');
    expect(statSync(dirname(paths['a.txt'])).mode & 0o777).toBe(0o700);
    return dirname(paths['a.txt']);
  });
  expect(existsSync(folder)).toBe(false);
});

test('a folder for temporary files that is not there is named, and nothing is called', async () => {
  process.env['TMPDIR'] = '/nonexistent/tmp';
  const never = withTemporaryFiles({ a: '' }, async () => expect('never').toBe('called'));
  await expect(never).rejects.toMatchObject({
    code: 'STORE_FAILED',
    message: expect.stringContaining('/nonexistent/tmp'),
  });
});
