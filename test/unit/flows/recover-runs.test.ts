import { mkdir, mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createFileRecordStore } from '../../../src/adapters/store/file-record-store.js';
import { SjsError } from '../../../src/errors.js';
import { recoverRuns, type RecoverTools } from '../../../src/flows/recover-runs.js';
import { systemClock } from '../../../src/ports/clock.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { makeId, makeRecord } from '../../support/records.js';

let home: string;
const said: string[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sjs-recover-'));
  said.length = 0;
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** An engine that has nothing of a dead owner's run. */
function makeTools(): RecoverTools {
  const owner = { bootId: 'boot', pid: 1, startTime: '1', home };
  return {
    engine: { listRuns: () => Promise.resolve([]) },
    store: createFileRecordStore(home),
    reporter: { ...silentReporter, warn: (message: string) => void said.push(message) },
    clock: systemClock,
    isOwnerAlive: () => Promise.resolve(false),
    owner: () => Promise.resolve(owner),
  } as unknown as RecoverTools;
}

const open = makeRecord({ id: makeId(7), state: 'running', finishedAt: null, exitCode: null });

test('rubbish in the store, or a store that cannot be cleaned, keeps no run from being finished', async () => {
  const tools = makeTools();
  await tools.store.saveRecord(open);
  const folder = join(home, 'tmp/somebody-made-a-folder');
  await mkdir(folder, { recursive: true });
  await utimes(folder, 0, 0);
  const failing = new SjsError('STORE_FAILED', 'tmp cannot be read');
  const store = Object.assign(Object.create(tools.store) as RecoverTools['store'], {
    home,
    removeStaleTemp: () => Promise.reject(failing),
  });
  expect(await tools.store.removeStaleTemp()).toBe(0);
  await recoverRuns({ ...tools, store });
  expect(await tools.store.findRecord(open.id)).toMatchObject({
    state: 'failed',
    error: { code: 'CONTAINER_LOST' },
  });
  expect(said.join()).toContain('tmp cannot be read');
});
