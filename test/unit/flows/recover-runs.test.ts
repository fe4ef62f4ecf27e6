import { mkdir, mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createFileRecordStore } from '../../../src/adapters/store/file-record-store.js';
import { SjsError } from '../../../src/errors.js';
import { markMember, recoverRuns, type RecoverTools } from '../../../src/flows/recover-runs.js';
import { sha256 } from '../../../src/model/digest.js';
import { systemClock } from '../../../src/ports/clock.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import type { Engine, RunStreams } from '../../../src/ports/engine.js';
import { nonceOf } from '../../../src/stages/call/write-request.js';
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

test('the answer of a call is taken out of what the engine kept of its output', async () => {
  const tools = makeTools();
  const call = { export: 'f', answer: null };
  await tools.store.saveRecord({ ...open, call });
  const piece = (type: string, text: string): Buffer =>
    Buffer.from(`\0sjs${nonceOf(open.id)}${type}${text.length.toString(16).padStart(4, '0')}${text}`);
  const engine = {
    listRuns: () => Promise.resolve([{ runId: open.id, owner: open.owner }]),
    recover: async (_run: unknown, _limits: unknown, streams: RunStreams) => {
      await streams.onStdout(Buffer.from('before'));
      await streams.onStdout(piece('v', '[1]').subarray(0, 20));
      await streams.onStdout(piece('v', '[1]').subarray(20));
      await streams.onStderr(piece('e', ''));
      const outcome = {
        end: 'exited' as const,
        exitCode: 0,
        oomKilled: false,
        startedAt: open.createdAt,
        finishedAt: open.createdAt,
        durationMs: 1,
        truncated: { stdout: false, stderr: false },
        usage: null,
      };
      await streams.onEnded(outcome);
      return outcome;
    },
  } as unknown as Engine;
  await recoverRuns({ ...tools, engine });
  expect(await tools.store.findRecord(open.id)).toMatchObject({
    state: 'succeeded',
    stdout: { digest: sha256('before'), bytes: 6 },
    stderr: { bytes: 0 },
    call: { export: 'f', answer: { kind: 'value', digest: sha256('[1]'), bytes: 3 } },
  });
});

test('of another boot, what has no record is left alone, unless it bears the mark of this home', async () => {
  const tools = makeTools();
  const owner = { bootId: 'before the power cut', pid: 2, startTime: '1', home };
  const [mine, strange, bare] = [makeId(1), makeId(2), makeId(3)];
  const mark = await markMember(mine, tools.store);
  const recovered: string[] = [];
  const engine = {
    listRuns: () =>
      Promise.resolve([
        { runId: mine, owner, mark },
        { runId: strange, owner, mark },
        { runId: bare, owner },
      ]),
    recover: ({ runId }: { readonly runId: string }) => {
      recovered.push(runId);
      return Promise.resolve(null);
    },
  } as unknown as Engine;
  await recoverRuns({ ...tools, engine });
  expect(recovered).toEqual([mine]);
});
