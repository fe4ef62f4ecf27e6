import { expect, test } from '@jest/globals';
import { listImages } from '../../../src/flows/list-images.js';
import { makeEntry } from '../../support/records.js';

test('an image is there when the engine has one with our label under its tag', async () => {
  const [here, gone] = [makeEntry('here'), makeEntry('gone')];
  const asked: string[] = [];
  const images = {
    listLabelled: (label: string) => {
      asked.push(label);
      const present = { imageId: here.imageId, tags: ['other:1', here.tag], sizeBytes: 7 };
      return Promise.resolve([present, { imageId: gone.imageId, tags: [], sizeBytes: 9 }]);
    },
  };
  expect(await listImages({ store: { listImages: () => Promise.resolve([here, gone]) }, images })).toEqual([
    { ...here, isPresent: true, sizeBytes: 7 },
    { ...gone, isPresent: false, sizeBytes: null },
  ]);
  expect(asked).toEqual(['dev.sjs.format']);
});
