import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { collectSource } from '../../../../src/stages/collect/collect-source.js';
import { strip, stripTree } from '../../../../src/stages/pack/strip-types.js';
import { makeLoaded } from '../../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const forgetful = { get: () => Promise.resolve(null), set: () => Promise.resolve() };

const stripFolder = async (
  files: Record<string, string>,
  entrypoint: string,
  texts = forgetful,
  ms?: number,
) => {
  const folder = await makeFolder(files);
  const limits = { maxBytes: 8 * 1024 ** 2, forbidden: { containing: [], being: [] } };
  const tree = await collectSource(makeLoaded(join(folder, 'sandbox.yaml')), limits);
  return stripTree(tree, entrypoint, texts, ms);
};

describe('a text', () => {
  test('keeps every line and column', () => {
    const text =
      'type A = {\n  a: 1;\n};\nconst a: A = f<A>(1 as const)!;\nimport type { B } from "./b.ts";\n';
    const { code } = strip(text) as { code: string };
    expect(code).toHaveLength(text.length);
    expect(code.split('\n')[3]).toBe('const a    = f   (1         ) ;');
    expect(code).not.toContain('./b.ts');
  });

  test('names the JavaScript files where it imports TypeScript ones beside it', () => {
    const text = [
      `import a, { type B } from './a.ts';`,
      `export * from "../b.mts";`,
      `await import('./c.cts'); require('./d.ts');`,
      `import x from 'pkg/x.ts'; const s = './e.ts';`,
    ].join('\n');
    expect(
      (strip(text) as { code: string }).code.split('\n').map((line) => line.replace(/ +/g, ' ')),
    ).toEqual([
      `import a, { } from './a.js';`,
      `export * from "../b.mjs";`,
      `await import('./c.cjs'); require('./d.js');`,
      `import x from 'pkg/x.ts'; const s = './e.ts';`,
    ]);
  });

  test.each([
    ['\nenum A { B }', 2, 'an enum is more than a type'],
    ['namespace N { export const a = 1 }', 1, 'a namespace with values is more than a type'],
    ['class A {\n  constructor(private a: number) {}\n}', 2, 'a parameter property is more than a type'],
    ['const a: = 1', 1, 'Type expected.'],
  ])('that has more than types in it is refused: %j', (text, line, reason) => {
    expect(strip(text)).toEqual({ line, reason });
  });
});

test('imports without number are renamed in one go', () => {
  const { code } = strip('import"./a.ts";\n'.repeat(200_000)) as { code: string };
  expect(code).toBe('import"./a.js";\n'.repeat(200_000));
});

describe('a tree', () => {
  test('that is made to blow up the parser is refused or left out, and ends nothing', async () => {
    const deep = `let a = ${'('.repeat(50_000)}1${')'.repeat(50_000)};`;
    const { skipped } = await stripFolder({ 'a.ts': 'let a: 1', 'deep.ts': deep }, 'a.ts');
    expect(skipped).toEqual([{ path: 'deep.ts', reason: 'line 1: it is nested too deeply' }]);
    await expect(stripFolder({ 'deep.ts': deep }, 'deep.ts')).rejects.toMatchObject({
      code: 'SANDBOX_INVALID',
    });
    const large = { 'a.ts': 'let a: 1', 'large.ts': 'a;\n'.repeat(1_500_000) };
    expect((await stripFolder(large, 'a.ts')).skipped).toMatchObject([{ path: 'large.ts' }]);
  });

  test('that keeps the parser at guessing is refused when the time for all of it is over', async () => {
    const guessing = `${'async<T>(a='.repeat(40)}1`;
    await expect(stripFolder({ 'a.ts': guessing }, 'a.ts', forgetful, 500)).rejects.toMatchObject({
      code: 'SANDBOX_INVALID',
      message: expect.stringContaining('cannot be stripped in time'),
    });
    // Nothing of it is left in the parser.
    expect(await stripFolder({ 'a.ts': 'let a: 1' }, 'a.ts')).toMatchObject({ made: ['a.js'], skipped: [] });
  });

  test('keeps what the author wrote, and has the JavaScript beside it', async () => {
    const { tree, made, skipped } = await stripFolder(
      {
        'a.ts': 'let a: 1',
        'lib/b.mts': 'let b: 1',
        'c.cts': '',
        'd.d.ts': 'declare const d: 1',
        'node_modules/p/p.ts': 'let p: 1',
        'e.js': '',
      },
      'a.ts',
    );
    expect(made).toEqual(['a.js', 'c.cjs', 'lib/b.mjs']);
    expect(skipped).toEqual([]);
    expect(tree.entries.map(({ path }) => path)).toEqual(
      ['a.js', 'a.ts', 'c.cjs', 'c.cts', 'd.d.ts', 'e.js'].concat([
        ...['lib', 'lib/b.mjs', 'lib/b.mts', 'node_modules', 'node_modules/p', 'node_modules/p/p.ts'],
      ]),
    );
  });

  test('has no two files of one name', async () => {
    await expect(stripFolder({ 'a.ts': '', 'a.js': '' }, 'a.ts')).rejects.toMatchObject({
      code: 'SOURCE_COLLISION',
      message: 'a.ts would become a.js, which is there already',
    });
  });

  test('is refused for what the program itself says, and other files are named', async () => {
    const files = { 'a.ts': '', 'b.ts': '\nenum B {}' };
    expect((await stripFolder(files, 'a.ts')).skipped).toEqual([
      { path: 'b.ts', reason: 'line 2: an enum is more than a type' },
    ]);
    await expect(stripFolder(files, 'b.ts')).rejects.toMatchObject({
      code: 'SANDBOX_INVALID',
      message: 'b.ts:2: an enum is more than a type',
    });
  });

  test('takes what is known of a text', async () => {
    const known = { get: () => Promise.resolve('known'), set: () => Promise.reject(new Error('again')) };
    const { tree } = await stripFolder({ 'a.ts': 'let a: 1' }, 'a.ts', known as unknown as typeof forgetful);
    const entry = tree.entries.find(({ path }) => path === 'a.js');
    expect(entry).toMatchObject({ kind: 'inline', content: Buffer.from('known') });
  });
});
