import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../../src/errors.js';
import { choosePackages } from '../../../../src/stages/dependencies/choose-packages.js';
import { writeLock } from '../../../support/package-registry.js';

const INTEGRITY = `sha512-${'A'.repeat(86)}==`;
const GOOD = { version: '1.0.0', integrity: INTEGRITY };
const PLATFORM = { os: 'linux', cpu: 'x64', libc: 'glibc', node: '24.21.0' } as const;
const isOwn = (url: URL): boolean => url.host === 'registry.example.com' && url.protocol === 'https:';

function choose(files: ReturnType<typeof writeLock>, omit: ('dev' | 'optional' | 'peer')[] = []) {
  const [manifestText, lockText] = [files['package.json'], files['package-lock.json']];
  const both = { file: 'package-lock.json', lockText, manifestFile: 'package.json', manifestText };
  return choosePackages(both, omit, PLATFORM, isOwn);
}

/** The code, and the message of each problem. */
function refusal(files: ReturnType<typeof writeLock>): {
  readonly code: string;
  readonly problems: string[];
} {
  try {
    choose(files);
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    const problems = error.problems.map(({ message }) => message);
    return { code: error.code, problems: problems.length > 0 ? problems : [error.message] };
  }
  throw new Error('nothing was refused');
}

const one = (entry: object, manifest: object = {}) =>
  writeLock({ a: '^1.0.0' }, { 'node_modules/a': entry }, manifest);

test('the twin of all that is refused is laid in', () => {
  const { packages } = choose(one({ ...GOOD, resolved: 'https://registry.example.com/a/-/a-1.0.0.tgz' }));
  expect(packages).toMatchObject([
    { location: 'node_modules/a', name: 'a', version: '1.0.0', integrity: INTEGRITY },
  ]);
});

describe('what a lockfile may not say', () => {
  test.each([
    ['no integrity', { version: '1.0.0' }, 'no integrity'],
    ['sha1', { version: '1.0.0', integrity: `sha1-${'A'.repeat(27)}=` }, 'sha1 and md5 do not'],
    ['git', { ...GOOD, resolved: 'git+ssh://git@example.com/a.git#abc' }, 'comes from git'],
    ['git by its host', { ...GOOD, resolved: 'github:a/a#abc' }, 'comes from git'],
    ['a file', { ...GOOD, resolved: 'file:../../a.tgz' }, 'comes from a file'],
    ['a path', { ...GOOD, resolved: '../a' }, 'no address of a registry'],
    ['http', { ...GOOD, resolved: 'http://registry.example.com/a/-/a-1.0.0.tgz' }, 'not the registry'],
    ['a foreign host', { ...GOOD, resolved: 'https://evil.example/a/-/a-1.0.0.tgz' }, 'not the registry'],
    [
      'a host that is hidden in the path',
      { ...GOOD, resolved: 'https://registry.example.com//evil.example/a/-/a-1.0.0.tgz' },
      'in two ways',
    ],
    [
      'the same with backslashes',
      { ...GOOD, resolved: String.raw`https://registry.example.com/\evil.example/a/-/a-1.0.0.tgz` },
      'in two ways',
    ],
    [
      'a way out of the registry’s folder',
      { ...GOOD, resolved: 'https://registry.example.com/..%2Fother/a/-/a-1.0.0.tgz' },
      'in two ways',
    ],
    [
      'another package',
      { ...GOOD, resolved: 'https://registry.example.com/b/-/b-1.0.0.tgz' },
      'of another package',
    ],
    [
      'credentials',
      { ...GOOD, resolved: 'https://u:p@registry.example.com/a/-/a-1.0.0.tgz' },
      'more than a registry',
    ],
    ['a link', { resolved: '../a', link: true }, 'is a link'],
    ['an alias that nobody asked for', { ...GOOD, name: 'evil' }, 'hides another package'],
    ['no version', { integrity: INTEGRITY }, 'no version'],
    ['an install script', { ...GOOD, hasInstallScript: true }, 'has an install script'],
    ['another platform, without being optional', { ...GOOD, os: ['darwin'] }, 'is not for linux'],
    ['another C library', { ...GOOD, libc: ['musl'] }, 'is not for linux, x64, glibc'],
  ])('%s', (_what, entry, words) => {
    const { code, problems } = refusal(one(entry));
    expect([code, problems]).toEqual(['LOCKFILE_INVALID', [expect.stringContaining(words)]]);
    expect(problems.join()).not.toContain('u:p@');
  });

  test('a link, with what does instead of it: within the source, and out of it', () => {
    const problemsOf = (files: ReturnType<typeof writeLock>): unknown[] => {
      try {
        return [...choose(files).packages];
      } catch (error) {
        return (error as SjsError).problems.map(({ message, next }) => `${message}; ${next}`);
      }
    };
    const linked = (resolved: string, manifest: object = {}) =>
      writeLock(
        { x: '*' },
        { 'node_modules/x': { resolved, link: true }, [resolved]: { version: '1.0.0' } },
        manifest,
      );
    expect(problemsOf(linked('packages/x'))).toEqual([
      expect.stringMatching(/^node_modules\/x is a link to "packages\/x".*"#x\/\*": "\.\/packages\/x\/\*"/),
    ]);
    for (const place of ['../x', '..', '/srv/x'])
      expect(problemsOf(linked(place))).toEqual([expect.stringContaining('publish it to your registry')]);

    // npm installs a workspace, and what it needs, though nobody asks for it: that it is left out is not hidden.
    const entries = {
      'node_modules/x': { resolved: 'packages/x', link: true },
      'packages/x': { version: '1.0.0', dependencies: { a: '^1.0.0' } },
      'node_modules/a': GOOD,
    };
    expect(problemsOf(writeLock({}, entries, { workspaces: ['packages/*'] }))).toEqual([
      expect.stringContaining('node_modules/x is a link to "packages/x"'),
    ]);
    expect(problemsOf(writeLock({}, entries))).toEqual([]);
  });

  test.each([
    'node_modules/../a',
    '../node_modules/a',
    '/node_modules/a',
    'node_modules/a/../../b',
    'node_modules/.bin',
  ])('the place %s, though something asks for it', (place) => {
    const lock = writeLock({ a: '1.0.0' }, { 'node_modules/a': GOOD, [place]: GOOD });
    // Nobody asks for what lies there, and nothing is laid in there.
    expect(choose(lock).packages.map(({ location }) => location)).toEqual(['node_modules/a']);
  });

  test('all of it is said at once, with lines', () => {
    const lock = writeLock(
      { a: '1.0.0', b: '1.0.0' },
      { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { ...GOOD, resolved: 'file:x' } },
    );
    expect(refusal(lock).problems).toHaveLength(2);
    try {
      choose(lock);
    } catch (error) {
      const places = (error as SjsError).problems.map(({ location }) => location);
      expect(places).toEqual([
        { file: 'package-lock.json', line: 12, path: 'packages["node_modules/a"]' },
        { file: 'package-lock.json', line: 15, path: 'packages["node_modules/b"]' },
      ]);
    }
  });

  test.each([
    ['no JSON', '{'],
    ['nested without end', `{ "lockfileVersion": ${'['.repeat(200_000)}${']'.repeat(200_000)} }`],
    ['version 1', '{"lockfileVersion":1,"dependencies":{}}'],
    ['version 4', '{"lockfileVersion":4,"packages":{"":{}}}'],
    ['no root', '{"lockfileVersion":3,"packages":{}}'],
    ['a list', '[]'],
  ])('%s', (_what, text) => {
    expect(refusal({ ...one(GOOD), 'package-lock.json': text }).code).toBe('LOCKFILE_INVALID');
  });
});

describe('package.json and lockfile disagree', () => {
  const asked = (manifest: object): string =>
    refusal({ ...one(GOOD), 'package.json': JSON.stringify(manifest) }).code;

  test('in what is asked for', () => {
    expect(asked({ dependencies: { a: '^2.0.0' } })).toBe('LOCKFILE_MISMATCH');
    expect(asked({ dependencies: { a: '^1.0.0', b: '*' } })).toBe('LOCKFILE_MISMATCH');
    expect(asked({})).toBe('LOCKFILE_MISMATCH');
    expect(asked({ devDependencies: { a: '^1.0.0' } })).toBe('LOCKFILE_MISMATCH');
  });

  test('in versions, and in what is not there', () => {
    expect(refusal(one({ ...GOOD, version: '2.0.0' })).code).toBe('LOCKFILE_MISMATCH');
    expect(refusal(one({ ...GOOD, dependencies: { b: '1' } }))).toEqual({
      code: 'LOCKFILE_MISMATCH',
      problems: ['node_modules/a needs b 1, which the lockfile does not have'],
    });
    expect(refusal(writeLock({ a: '1' }, {})).code).toBe('LOCKFILE_MISMATCH');
  });

  test('not where package.json overrides the version', () => {
    const entries = { 'node_modules/a': { ...GOOD, dependencies: { b: '^2.0.0' } }, 'node_modules/b': GOOD };
    expect(refusal(writeLock({ a: '1' }, entries)).code).toBe('LOCKFILE_MISMATCH');
    expect(choose(writeLock({ a: '1' }, entries, { overrides: { b: '1.0.0' } })).packages).toHaveLength(2);
  });
});

test('a scope is written with a slash in either way', () => {
  for (const path of ['@b/c', '@b%2fc', '@b%2Fc']) {
    const entry = { ...GOOD, resolved: `https://registry.example.com/${path}/-/c-1.0.0.tgz` };
    const lock = writeLock({ '@b/c': '1.0.0' }, { 'node_modules/@b/c': entry });
    expect(choose(lock).packages).toHaveLength(1);
  }
});

describe('a lockfile that is made to take for ever', () => {
  const names = Array.from({ length: 2000 }, (_, at) => `n${at}`);
  const all = Object.fromEntries(names.map((name) => [name, '1']));
  const some = (at: number) =>
    Object.fromEntries(names.slice(at % 1000, (at % 1000) + 30).map((name) => [name, '1']));

  test('by many words about install scripts', () => {
    const entries = names.map((name) => [`node_modules/${name}`, { ...GOOD, hasInstallScript: true }]);
    const allowScripts = Object.fromEntries(
      Array.from({ length: 50_000 }, (_, at) => [`n1@${at}.0.0`, false]),
    );
    const lock = writeLock(all, Object.fromEntries(entries) as Record<string, object>, { allowScripts });
    expect(refusal(lock).problems).toHaveLength(names.length - 1);
  });

  test('by packages for other platforms that depend on each other', () => {
    const optionalDependencies = Object.fromEntries(names.map((name) => [`o${name}`, '1']));
    const packages = {
      '': { dependencies: all, optionalDependencies },
      ...Object.fromEntries(
        names.flatMap((name, at) => [
          [`node_modules/${name}`, { ...GOOD, dependencies: some(at) }],
          [`node_modules/o${name}`, { ...GOOD, os: ['win32'], dependencies: some(at) }],
        ]),
      ),
    };
    const lock = {
      'package.json': JSON.stringify({ dependencies: all, optionalDependencies }),
      'package-lock.json': JSON.stringify({ lockfileVersion: 3, packages }),
    };
    expect(refusal(lock).problems.join()).toContain('depend on each other in too many ways');
  });
});

test('an install script that package.json refuses is no reason', () => {
  const entry = { ...GOOD, hasInstallScript: true };
  for (const key of ['a', 'a@1.0.0', 'a@1.0.0 || 2.0.0']) {
    expect(choose(one(entry, { allowScripts: { [key]: false } })).scriptsIgnored).toEqual(['a']);
  }
  for (const allowScripts of [{ a: true }, { b: false }, { 'a@2.0.0': false }, ['a']]) {
    expect(refusal(one(entry, { allowScripts })).code).toBe('LOCKFILE_INVALID');
  }
});

test('an alias that both sides declare is laid in under its own name', () => {
  const lock = writeLock({ a: 'npm:real@^1.0.0' }, { 'node_modules/a': { ...GOOD, name: 'real' } });
  expect(choose(lock).packages).toMatchObject([{ location: 'node_modules/a', name: 'real' }]);
  const other = writeLock({ a: 'npm:real@^1.0.0' }, { 'node_modules/a': { ...GOOD, name: 'evil' } });
  expect(refusal(other).problems.join()).toContain('hides another package');
});

test('a bundled package comes inside its parent, whatever lies between', () => {
  const lock = writeLock(
    { a: '1' },
    {
      'node_modules/a': { ...GOOD, dependencies: { b: '1' } },
      'node_modules/a/node_modules/b': { version: '1.0.0', inBundle: true, dependencies: { c: '1' } },
      'node_modules/a/node_modules/c': { version: '1.0.0', inBundle: true },
    },
  );
  expect(choose(lock).packages.map(({ bundledIn, integrity }) => [bundledIn, integrity])).toEqual([
    [null, INTEGRITY],
    ['node_modules/a', null],
    ['node_modules/a', null],
  ]);
  const alone = writeLock({ a: '1' }, { 'node_modules/a': { version: '1.0.0', inBundle: true } });
  expect(refusal(alone).problems.join()).toContain('no integrity');
});

test('what the lockfile says of its own flags counts for nothing', () => {
  const lock = one({ ...GOOD, dev: true, optional: true, extraneous: true });
  expect(choose(lock, ['dev', 'optional']).packages).toHaveLength(1);
  const unasked = writeLock({ a: '1' }, { 'node_modules/a': GOOD, 'node_modules/evil': GOOD });
  expect(choose(unasked)).toMatchObject({ packages: [{ name: 'a' }], omitted: 1 });
});

test('ten thousand problems are told, each with its line', () => {
  const entries = Array.from(
    { length: 10_000 },
    (_, index) => [`node_modules/p${index}`, { version: '1.0.0' }] as const,
  );
  const dependencies = Array.from({ length: 10_000 }, (_, index) => [`p${index}`, '1.0.0'] as const);
  const lock = writeLock(Object.fromEntries(dependencies), Object.fromEntries(entries));
  const text = lock['package-lock.json'];
  const both = {
    file: 'package-lock.json',
    lockText: text,
    manifestFile: 'package.json',
    manifestText: lock['package.json'],
  };
  try {
    choosePackages(both, [], PLATFORM, isOwn);
    throw new Error('nothing was refused');
  } catch (error) {
    const { problems } = error as SjsError;
    expect(problems).toHaveLength(10_000);
    const lines = text.split('\n');
    for (const { location } of problems) {
      expect(lines[(location?.line ?? 0) - 1]).toContain(location?.path?.slice('packages['.length, -1));
    }
  }
});
