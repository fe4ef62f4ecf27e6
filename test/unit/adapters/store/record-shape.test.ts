import { expect, test } from '@jest/globals';
import { parseRecord } from '../../../../src/adapters/store/record-shape.js';
import { sha256 } from '../../../../src/model/digest.js';
import { MOST_CONNECTIONS, type ConnectionRecord, type RunRecord } from '../../../../src/model/record.js';
import { makeRecord } from '../../../support/records.js';

const read = (fields: object): RunRecord => {
  const record = { ...makeRecord(), ...fields };
  return parseRecord(JSON.stringify(record), '/p', record.id);
};
const connection: ConnectionRecord = {
  at: '2026-01-02T03:04:05.000Z',
  direction: 'out',
  name: 'a.test',
  address: '192.0.2.1',
  port: 443,
  sentBytes: 1,
  receivedBytes: 1,
  verdict: 'allowed',
  reason: null,
};
const withConnections = (...connections: object[]): object => ({
  network: { mode: 'isolated', gateway: sha256('g'), ports: [], connections, omittedConnections: 0 },
});
const times = (count: number): object[] => Array.from({ length: count }, () => connection);

test.each<[string, object]>([
  ['createdAt', { createdAt: '2026-11-21 (\u001b[2J) 10:00:00' }],
  ['createdAt', { createdAt: '2026-11-21T10:00:00Z' }],
  ['createdAt', { createdAt: '2026-13-41T10:00:00.000Z' }],
  ['startedAt', { startedAt: 'Sat, 21 Nov 2026 10:00:00 GMT' }],
  ['finishedAt', { finishedAt: '2026-11-21T10:00:00.000+01:00' }],
  ['exitCode', { exitCode: 77.5 }],
  ['exitCode', { exitCode: -1 }],
  ['stdout', { stdout: { digest: sha256(''), bytes: 0.5, truncated: false } }],
  ['network', withConnections(...times(MOST_CONNECTIONS + 1))],
  ['network', withConnections({ ...connection, at: 'Sat, 21 Nov 2026 10:00:00 GMT' })],
  ['network', { network: { mode: 'none', connections: [connection] } }],
  ['imported', { imported: true }],
  ['importedSeal', { importedSeal: { at: 'now', trustedBy: 'hand' } }],
])('a record whose %s is not as sjs writes it is none', (field, fields) => {
  expect(() => read(fields)).toThrow(
    expect.objectContaining({
      code: 'STORE_INVALID',
      message: expect.stringContaining(`its ${field} is missing or wrong`),
    }),
  );
});

test('a record with all that it can have is one', () => {
  const at = '2026-01-02T03:04:05.000Z';
  const fields = {
    ...withConnections(...times(MOST_CONNECTIONS)),
    imported: { at },
    importedSeal: { at, trustedBy: 'hand' },
  };
  expect(read(fields)).toMatchObject(fields);
});
