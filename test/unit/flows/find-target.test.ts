import { expect, test } from '@jest/globals';
import { findEntry, type TargetTools } from '../../../src/flows/find-target.js';
import { makeEntry } from '../../support/records.js';

const imported = { at: '2026-01-01T00:00:00Z', trustedBy: 'hand' } as const;
const [older, newer] = ['3f9a0c1b2d4e', 'aaaaaaaaaaaa'].map((digits, at) =>
  makeEntry(`job ${digits}`, {
    name: 'my-job',
    tag: `sjs/my-job:1.0.${at}-${digits}`,
    createdAt: `2026-01-0${at + 1}T00:00:00Z`,
  }),
);
const foreign = makeEntry('foreign', { tag: 'sjs/foreign:1.0.0-bbbbbbbbbbbb', imported });
const tools = {
  store: { listImages: () => Promise.resolve([older, newer, foreign]) },
  images: { inspect: () => Promise.resolve(null) },
} as unknown as TargetTools;

const ALL = 'sjs images lists all of them';

test.each([
  ['my-jbo', `did you mean my-job? ${ALL}`],
  ['my_job', `did you mean my-job? ${ALL}`],
  ['forein', 'sjs images lists the sealed images, sjs runs the runs; sjs build makes an image'],
  ['foreign', `it was made elsewhere, and goes by its tag: ${foreign.tag}`],
  ['sjs/my-job:1.0.0-3f9a0c1b2d4f', `did you mean ${older?.tag}? ${ALL}`],
  ['my-jbo:1.0.0-3f9a0c1b2d4e', `did you mean ${older?.tag}? ${ALL}`],
  ['my-job:latest', `did you mean ${newer?.tag}? ${ALL}`],
  ['sjs/forein:1.0.0-bbbbbbbbbbbb', `did you mean ${foreign.tag}? ${ALL}`],
  ['quite-another:1', 'sjs images lists the sealed images, sjs runs the runs; sjs build makes an image'],
  ['0123456789ab', 'sjs images lists the sealed images, sjs runs the runs; sjs build makes an image'],
])('%s is nothing, and the error says what was probably meant', async (target, next) => {
  await expect(findEntry(target, tools)).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND', next });
});
