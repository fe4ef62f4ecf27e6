import { expect, test } from '@jest/globals';
import type { SourceTree } from '../../../../src/model/source-tree.js';
import { missingEntrypoint } from '../../../../src/stages/collect/missing-entrypoint.js';

const tree = {
  entries: ['lib', 'lib/index.js', 'main.js'].map((path) => ({ kind: 'folder', path })),
} as Partial<SourceTree> as SourceTree;

test.each(['main.js', 'main', 'lib', 'lib/index', 'lib/index.js'])('%s is in the source', (path) => {
  expect(missingEntrypoint({ language: 'node', command: ['node', `/app/${path}`] }, tree)).toBeNull();
});

test.each(['index.js', 'main.j', 'main.js/x', 'li', 'lib/main.js'])('%s is not in the source', (path) => {
  expect(missingEntrypoint({ language: 'node', command: ['node', `/app/${path}`] }, tree)).toBe(path);
});

test('what is no script of the source is not looked for', () => {
  for (const command of [['node', '/opt/x.js'], ['/app/tool'], ['tool', '/app/x.js']])
    expect(missingEntrypoint({ language: 'node', command }, tree)).toBeNull();
});
