import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, test } from '@jest/globals';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { SjsError } from '../../src/errors.js';
import type { SourceEntry, SourceTree } from '../../src/model/source-tree.js';
import { checkLinks } from '../../src/model/check-links.js';
import { checkCollisions, checkPath, decodeName } from '../../src/stages/collect/check-names.js';
import { createIgnoreRules } from '../../src/stages/collect/ignore-rules.js';
import { packContext, type PackedContext } from '../../src/stages/pack/pack-context.js';
import { anyText, attempt, check, DEADLINE_MS } from '../support/property.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();

// Contents come from the disk, by design from the very file that was collected. So the files are written once, with
// names and sizes at which tar changes its form, and each case takes some of them; folders and links need no disk.
const LONG = 'n'.repeat(120);
const FILES = new Map([
  ...[
    'a',
    'a.js',
    'a b',
    '-x',
    '~',
    '.hidden',
    'ü',
    'u\u0308',
    '日本.js',
    '😀',
    `${LONG}.js`,
    '#',
    '%41',
    "'",
    '$x',
    'trailing ',
    'PaxHeader',
  ].map((name, index): [string, Buffer] => [
    name,
    Buffer.alloc([0, 1, 511, 512, 513, 1024][index % 6] ?? 0, `${index}`),
  ]),
  [`d/${LONG}/é`, Buffer.from('deep')],
  ['d/e', Buffer.from([0, 255, 10])],
  ['d.js', Buffer.from('d')],
  [`${'long/'.repeat(40)}x`, Buffer.alloc(600, 'x')],
]);
let root = '';
beforeAll(async () => {
  root = realpathSync(await makeFolder());
  for (const [name, content] of FILES) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
});

const foldersAbove = (path: string): string[] => {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? [] : [...foldersAbove(path.slice(0, slash)), path.slice(0, slash)];
};
const part = fc
  .oneof(
    fc
      .array(fc.constantFrom(...'aZ0 é日._+=-'), { minLength: 1, maxLength: 6 })
      .map((letters) => letters.join('')),
    fc.constantFrom(LONG, 'x'.repeat(100), `${'é'.repeat(50)}`, 'layer', 'Dockerfile', '...', '..x', 'app'),
  )
  .filter((name) => name !== '.' && name !== '..');
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const link = fc.record({
  kind: fc.constant('symlink' as const),
  path,
  target: fc.oneof(path, fc.constantFrom('a', '../a', LONG + LONG)),
});

/** Entries with the folders that they need, each path once; files from the disk. */
const entries = fc
  .record({
    files: fc.subarray([...FILES.keys()], { maxLength: 2 }),
    executable: fc.boolean(),
    folders: fc.array(path, { maxLength: 3 }),
    links: fc.array(link, { maxLength: 3 }),
  })
  .map(({ files, executable, folders, links }): readonly SourceEntry[] => {
    const found = new Map<string, SourceEntry>();
    for (const name of [
      ...files.flatMap(foldersAbove),
      ...folders.flatMap((one) => [...foldersAbove(one), one]),
    ])
      if (!FILES.has(name)) found.set(name, { kind: 'folder', path: name });
    for (const name of files) {
      const { dev: device, ino: inode, size: bytes } = lstatSync(join(root, name));
      found.set(name, { kind: 'file', path: name, bytes, executable, device, inode });
    }
    for (const one of links)
      if (
        !FILES.has(one.path) &&
        foldersAbove(one.path).every((name) => name === '' || found.get(name)?.kind === 'folder') &&
        !found.has(one.path)
      )
        found.set(one.path, one);
    // What lies below something that is no folder cannot be.
    return [...found.values()].filter((entry) =>
      foldersAbove(entry.path).every((name) => found.get(name)?.kind === 'folder'),
    );
  });

const pack = (list: readonly SourceEntry[]): Promise<PackedContext> => {
  const tree: SourceTree = { root, entries: list, totalBytes: 0, withheld: [] };
  return packContext({
    dockerfile: 'FROM x\n',
    tree,
    files: { '/.sjs/p.cjs': Buffer.from('1') },
    folders: ['/out'],
  });
};

/** Everything below layer/app in a tar: path to what it is. */
async function read(context: PackedContext): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const tar = extract();
  context.open().pipe(tar);
  for await (const entry of tar) {
    const { name, type, mode, linkname, uid, gid, mtime } = entry.header;
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk);
    if (uid !== 0 || gid !== 0 || mtime?.getTime() !== 0) throw new Error(`${name} has an owner or a time`);
    if (found.has(name)) throw new Error(`${name} is there twice`);
    found.set(name, `${type} ${mode.toString(8)} ${linkname ?? Buffer.concat(chunks).toString('hex')}`);
  }
  return found;
}

function expected(entry: SourceEntry): string {
  if (entry.kind === 'folder') return 'directory 755 ';
  if (entry.kind === 'symlink') return `symlink 777 ${entry.target}`;
  if (entry.kind === 'inline') return `file 644 ${Buffer.from(entry.content).toString('hex')}`;
  return `file ${entry.executable ? 755 : 644} ${FILES.get(entry.path)?.toString('hex') ?? ''}`;
}

test(
  'any tree is packed and read back as it was, and its tar does not depend on the order in which it was given',
  () =>
    check(
      fc.asyncProperty(entries, fc.nat(), async (list, seed) => {
        const turn = list.length === 0 ? 0 : seed % list.length;
        const other = await pack([...list.slice(turn).reverse(), ...list.slice(0, turn)]);
        const context = await pack(list);
        assert.equal(`${other.digest} ${other.bytes}`, `${context.digest} ${context.bytes}`);
        const found = await read(context);
        const own = ['Dockerfile', 'layer', 'layer/.sjs', 'layer/out', 'layer/.sjs/p.cjs', 'layer/app'];
        const packed = list.map((entry) => [`layer/app/${entry.path}`, expected(entry)].join(' ')).sort();
        const lines = [...found].map(([name, what]) => [name, what].join(' '));
        assert.equal([...found.keys()].slice(0, 6).join(), own.join());
        assert.equal(lines.slice(6).sort().join('\n'), packed.join('\n'));
      }),
    ),
  DEADLINE_MS,
);

test(
  'a hostile name is refused, and one that is taken is what the disk has, in one part and visible',
  () => {
    const raw = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
      anyText.map((text) => Buffer.from(text)),
    );
    return check(
      fc.property(raw, fc.array(anyText, { maxLength: 70 }), (bytes, parts) => {
        const name = attempt(() => decodeName(bytes, 'd'));
        if (name instanceof SjsError) assert.equal(name.code, 'SOURCE_NAME');
        else {
          assert.deepEqual(Buffer.from(name), bytes);
          assert.doesNotMatch(name, /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\\]/u);
        }
        const long = attempt(() => checkPath(parts.join('/')));
        if (long instanceof SjsError) assert.match(long.code, /^SOURCE_(NAME|TOO_DEEP)$/);
        else assert.ok(Buffer.byteLength(parts.join('/')) <= 1024);
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'names that are one elsewhere collide, and no others do',
  () => {
    const name = fc
      .array(fc.constantFrom('a', 'A', 'é', 'e\u0301', 'É', 'ß', 'İ', 'k', '\u212a'), {
        minLength: 1,
        maxLength: 3,
      })
      .map((parts) => parts.join(''));
    return check(
      fc.property(fc.uniqueArray(name, { maxLength: 4 }), (names) => {
        const folded = new Set(names.map((one) => one.normalize('NFC').toLowerCase()));
        const found = attempt(() => checkCollisions(names));
        assert.equal(
          found instanceof SjsError ? found.code : 'none',
          folded.size < names.length ? 'SOURCE_COLLISION' : 'none',
        );
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'a link that is taken ends inside the source, whatever others it goes through',
  () => {
    const short = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'd/e');
    const target = fc.oneof(
      fc
        .array(fc.constantFrom('a', 'b', 'd', 'e', '..', '.', ''), { minLength: 1, maxLength: 5 })
        .map((parts) => parts.join('/')),
      fc.constantFrom('/', '/etc/passwd', '../../x', '//x'),
    );
    return check(
      fc.property(
        fc.uniqueArray(fc.tuple(short, target), { maxLength: 5, selector: ([name]) => name }),
        (pairs) => {
          const links = new Map(pairs);
          const list = pairs.map(([name, to]): SourceEntry => ({ kind: 'symlink', path: name, target: to }));
          const found = attempt(() => checkLinks(list));
          const isSafe = pairs.every(([name]) => follow(name.split('/'), links, 0) !== null);
          if (found instanceof SjsError) assert.equal(found.code, 'SOURCE_LINK');
          assert.equal(found === undefined, isSafe);
        },
      ),
    );
  },
  DEADLINE_MS,
);

/** Where a path leads, as the kernel walks it; null outside of the root, or in a loop. */
function follow(
  parts: readonly string[],
  links: ReadonlyMap<string, string>,
  depth: number,
): string[] | null {
  if (depth > 40) return null;
  let reached: string[] = [];
  for (const [at, name] of parts.entries()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (reached.length === 0) return null;
      reached = reached.slice(0, -1);
      continue;
    }
    const to = links.get([...reached, name].join('/'));
    if (to === undefined) reached = [...reached, name];
    else if (to.startsWith('/')) return null;
    else return follow([...reached, ...to.split('/'), ...parts.slice(at + 1)], links, depth + 1);
  }
  return reached;
}

test(
  'any patterns decide about any path, or are refused, and never let .git in',
  () => {
    const pattern = fc.oneof(
      fc
        .array(
          fc.constantFrom(
            '*',
            '**',
            '?',
            '!',
            '/',
            '[',
            ']',
            '[a-',
            '\\',
            'a',
            '.git',
            '..',
            '#',
            '(',
            '{',
            '^',
            '$',
            ' ',
          ),
          { maxLength: 6 },
        )
        .map((parts) => parts.join('')),
      anyText,
    );
    return check(
      fc.property(anyText, fc.array(pattern, { maxLength: 3 }), path, (file, exclude, name) => {
        const rules = attempt(() => createIgnoreRules(file, exclude));
        if (rules instanceof SjsError) {
          assert.equal(rules.code, 'SANDBOX_INVALID');
          return;
        }
        assert.equal(typeof rules.excludes(name), 'boolean');
        assert.equal(typeof rules.withholds(name), 'boolean');
        assert.ok(rules.excludes('.git') && rules.excludes('a/.git'));
      }),
    );
  },
  DEADLINE_MS,
);
