import { expect, test } from '@jest/globals';
import type { TargetTools } from '../../../src/flows/find-target.js';
import { resolveTarget } from '../../../src/flows/resolve-target.js';
import type { SealTools } from '../../../src/flows/seal-target.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry } from '../../support/records.js';

const entry = makeEntry('job');
const world = async () => {
  const store = createMemoryRecordStore();
  await store.saveImage(entry);
  const asked: string[] = [];
  const tools = {
    targetTools: () => {
      asked.push('targetTools');
      return Promise.resolve({ store, images: {} } as unknown as TargetTools);
    },
    sealTools: () => {
      asked.push('sealTools');
      return Promise.resolve({} as SealTools);
    },
  };
  return { tools, asked };
};

test('what is sealed is asked for what the run says, and nothing is looked up for it', async () => {
  const { tools, asked } = await world();
  const request = { args: ['a'], env: { A: '1' }, secrets: { S: 's' }, limits: { pids: 9 } };
  expect(await resolveTarget('job', request, tools)).toEqual({
    target: 'job',
    request,
    isSealedNow: false,
  });
  expect(await resolveTarget(entry.tag, {}, tools)).toMatchObject({
    request: { args: null, env: {}, secrets: {}, limits: {} },
  });
  expect(asked).toEqual([]);
});

test('a right that is not sealed in is refused; that there is no such image says more', async () => {
  const { tools, asked } = await world();
  const grant = { ports: ['3000'] };
  await expect(resolveTarget('job', grant, tools)).rejects.toMatchObject({ code: 'RIGHTS_WIDENED' });
  await expect(resolveTarget('jab', grant, tools)).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND' });
  expect(asked).toEqual(['targetTools', 'targetTools']);
});

test.each([
  ['./missing.js', 'TARGET_NOT_FOUND'],
  ['-', 'USAGE'],
])('%s is to be sealed first', async (target, code) => {
  const { tools, asked } = await world();
  await expect(resolveTarget(target, {}, tools)).rejects.toMatchObject({ code });
  expect(asked).toEqual(['sealTools']);
});
