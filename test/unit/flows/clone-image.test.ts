import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { cloneImage } from '../../../src/flows/clone-image.js';
import type { TargetTools } from '../../../src/flows/find-target.js';
import { computeSeal } from '../../../src/model/sealed-image.js';
import { strip } from '../../../src/stages/pack/strip-types.js';
import { makeEntry } from '../../support/records.js';
import { makeImage } from '../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

/** An engine that has one sealed image, of the program /app/main.js, with these files. */
function toolsFor(files: Readonly<Record<string, string>>): TargetTools {
  const image = makeImage({ command: ['node', '/app/main.js'], version: null });
  const entry = makeEntry('job', { version: null, seal: computeSeal(image) });
  const openTar = (): Readable => {
    const archive = pack();
    archive.entry({ name: 'app/', type: 'directory' });
    for (const [name, text] of Object.entries(files)) archive.entry({ name, mode: 0o644 }, text);
    archive.finalize();
    return archive as unknown as Readable;
  };
  return {
    store: { listImages: () => Promise.resolve([entry]) },
    images: {
      inspect: (name: string) => Promise.resolve(name === entry.tag ? image : null),
      withLayer: (_image: unknown, _layer: unknown, use: (open: () => Readable) => Promise<unknown>) =>
        use(openTar),
    },
  } as unknown as TargetTools;
}

const TEXT = 'const a: number = 1;\nconsole.log(a);\n';
const made = strip(TEXT);
const JAVASCRIPT = 'code' in made ? made.code : '';

test.each<[string, string, readonly string[]]>([
  ['JavaScript that was made of it', JAVASCRIPT, []],
  ['other JavaScript', 'console.log("evil");\n', ['main.ts']],
])('a clone of TypeScript with %s says so', async (_what, javascript, strippedOtherwise) => {
  const folder = join(await makeFolder(), 'copy');
  const tools = toolsFor({
    '.sjs/stripped.json': '["main.js"]\n',
    'app/main.js': javascript,
    'app/main.ts': TEXT,
  });
  expect(await cloneImage('job', folder, tools)).toMatchObject({ entries: 1, strippedOtherwise });
  expect((await readdir(folder)).sort()).toEqual(['main.ts', 'sandbox.yaml']);
  expect(await readFile(join(folder, 'sandbox.yaml'), 'utf8')).toContain('entrypoint: main.ts\n');
});

test('a program that was written in JavaScript stays so', async () => {
  const folder = join(await makeFolder(), 'copy');
  await cloneImage('job', folder, toolsFor({ 'app/main.js': '1;\n', 'app/main.ts': '1;\n' }));
  expect((await readdir(folder)).sort()).toEqual(['main.js', 'main.ts', 'sandbox.yaml']);
  expect(await readFile(join(folder, 'sandbox.yaml'), 'utf8')).toContain('entrypoint: main.js\n');
});
