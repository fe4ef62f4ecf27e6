import { expect, test } from '@jest/globals';
import { describeStoreError } from '../../../../src/adapters/store/store-error.js';
import { SjsError } from '../../../../src/errors.js';

const errno = (code: string) => Object.assign(new Error(code), { code });

test.each([
  ['ENOSPC', 'DISK_FULL', 'sjs prune'],
  ['EDQUOT', 'DISK_FULL', 'sjs prune'],
  ['EACCES', 'STORE_FAILED', 'access'],
  ['EROFS', 'STORE_FAILED', 'writable'],
  ['EMFILE', 'STORE_FAILED', 'ulimit'],
  ['EIO', 'STORE_FAILED', 'disk'],
])('%s is %s, with the path, the cause and what to do', (code, expected, next) => {
  const cause = errno(code);
  const error = describeStoreError(cause, 'written', '/home/me/runs/X');
  expect(error.code).toBe(expected);
  expect(error.message).toContain('/home/me/runs/X');
  expect(error.next).toContain(next);
  expect(error.cause).toBe(cause);
});

test('an error of our family stays what it is', () => {
  const error = new SjsError('STORE_INVALID', 'x');
  expect(describeStoreError(error, 'read', '/x')).toBe(error);
});
