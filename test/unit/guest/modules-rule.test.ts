import { builtinModules } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ModuleRule, packageOf } from '../../../src/guest/modules-rule.js';
import { BUILTIN_MODULES, withoutScheme } from '../../../src/model/builtin-modules.js';

const rule = new ModuleRule({ builtins: ['fs', 'path/posix', 'url'], packages: ['@a/b', 'listed'] }, [
  '/app/node_modules/dep',
]);

describe('the rule of a closed list', () => {
  test.each([
    'node:fs',
    'node:fs/promises',
    'node:path/posix',
    'file:///app/index.js',
    'file:///app/a%20b.mjs?query#hash',
    'file:///app/node_modules/listed/index.js',
    'file:///app/node_modules/other/node_modules/listed/index.js',
    'file:///app/node_modules/@a/b/index.js',
    'file:///app/node_modules/dep/lib/x.js',
  ])('lets %s through', (url) => {
    expect(rule.judge(url)).toBeNull();
  });

  test.each([
    ['node:os', `module 'os' is not in spec.modules.builtins of this sandbox; listed: fs, path/posix, url; `],
    ['node:path', `module 'path' is not in`],
    ['node:fsx', `module 'fsx' is not in`],
    ['node:', `module '' is not in`],
    ['file:///app/node_modules/other/x.js', `module 'other' is not in spec.modules.packages`],
    ['file:///app/node_modules/listed/node_modules/other/x.js', `module 'other' is not in`],
    ['file:///app/node_modules/listedx/x.js', `module 'listedx' is not in`],
    ['file:///app/node_modules/@a/c/x.js', `module '@a/c' is not in`],
    ['file:///app/node_modules/@a/x.js', `module '@a/x.js' is not in`],
    ['file:///app/node_modules/other.js', `module 'other.js' is not in`],
    ['file:///app/node%5Fmodules/other/x.js', `module 'other' is not in`],
    ['file:///app/node_modules/listed/../other/x.js', 'is no file of the source'],
    ['file:///app//node_modules/other/x.js', 'is no file of the source'],
    ['file:///in/x.js', 'is no file of the source'],
    ['file:///tmp/x.js', 'is no file of the source'],
    ['file:///application/x.js', 'is no file of the source'],
    ['file:///app/%', 'is no file of the source'],
    ['file://host/app/x.js', 'is no file of the source'],
    ['data:text/javascript,1', 'is no file of the source'],
    ['blob:nodedata:1', 'is no file of the source'],
    ['https://example.com/x.js', 'is no file of the source'],
    ['', 'is no file of the source'],
  ])('refuses %s', (url, words) => {
    expect(rule.judge(url)).toContain(words);
  });

  test('an empty list lets through the source alone', () => {
    const none = new ModuleRule({ builtins: [], packages: [] });
    expect(none.judge('file:///app/index.js')).toBeNull();
    expect(none.judge('node:url')).toContain('listed: none');
    for (const name of ['constructor', '__proto__', 'toString']) {
      expect(none.judge(`node:${name}`)).not.toBeNull();
      expect(none.judge(`file:///app/node_modules/${name}/x.js`)).not.toBeNull();
    }
  });

  test('whatever a URL is, it is let through only for a listed name or a file of the source', () => {
    const part = fc.constantFrom(
      'app',
      'node_modules',
      'listed',
      'other',
      '..',
      '',
      '@a',
      'b',
      '%2e%2e',
      'x.js',
      'tmp',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        if (rule.judge(`file:///${parts.join('/')}`) !== null) return;
        const path = decodeURIComponent(`/${parts.join('/')}`);
        expect(path.startsWith('/app/')).toBe(true);
        expect(path.split('/')).not.toContain('..');
        const found = packageOf(path);
        if (found !== null) expect(['listed', '@a/b']).toContain(found.name);
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (rule.judge(text) === null)
          expect(text).toMatch(/^(?:node:(?:fs|url|path\/posix)(?:\/|$)|file:\/\/\/)/);
      }),
    );
  });

  test('a program that replaces what it uses changes nothing', () => {
    const real = Object.getOwnPropertyDescriptors(String.prototype);
    try {
      String.prototype.startsWith = () => true;
      String.prototype.lastIndexOf = () => -1;
      Object.defineProperty(Object.prototype, 'os', { value: true, configurable: true });
      expect(rule.judge('node:os') === null).toBe(false);
      expect(rule.judge('file:///app/node_modules/other/x.js') === null).toBe(false);
    } finally {
      Object.defineProperties(String.prototype, real);
      delete (Object.prototype as { os?: unknown }).os;
    }
  });
});

test('every module of this Node can be listed', () => {
  expect(builtinModules.map(withoutScheme).filter((name) => !BUILTIN_MODULES.includes(name))).toEqual([]);
  expect([...BUILTIN_MODULES].sort()).toEqual([...new Set(BUILTIN_MODULES)].sort());
});
