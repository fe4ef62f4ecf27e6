import { expect, test } from '@jest/globals';
import { parseBaseRequest } from '../../../src/model/base-request.js';
import { sha256 } from '../../../src/model/digest.js';

const IMAGE = 'registry.example.com/base/node';
const DIGEST = sha256('index');

test.each([
  [`${IMAGE}:24.1.0`, { image: IMAGE, version: '=24.1.0' }],
  [`${IMAGE}@${DIGEST}`, { image: IMAGE, digest: DIGEST }],
  [`${IMAGE}:24.1.0@${DIGEST}`, { image: IMAGE, digest: DIGEST }],
])('%s asks for exactly that', (text, request) => {
  expect(parseBaseRequest(text)).toEqual(request);
});

test('one with neither a version nor a digest is refused', () => {
  expect(() => parseBaseRequest(IMAGE)).toThrow(expect.objectContaining({ code: 'BASE_NOT_PINNED' }));
});
