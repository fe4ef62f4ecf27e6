import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import { withTemporaryFiles } from '../../../../src/adapters/process/temporary-files.js';

test('the files are there, for this user alone, as long as they are used', async () => {
  const folder = await withTemporaryFiles({ 'a.txt': 'one' }, (paths) => {
    expect(readFileSync(paths['a.txt'], 'utf8')).toBe('one');
    expect(statSync(dirname(paths['a.txt'])).mode & 0o777).toBe(0o700);
    return Promise.resolve(dirname(paths['a.txt']));
  });
  expect(existsSync(folder)).toBe(false);
});
