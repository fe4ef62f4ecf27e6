import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { interleave } from '../measure.mjs';

/** Packing beside tar. */
export async function measure({ addRatio, wall, printed, world, folder, rounds }) {
  const files = 10_000;
  const sandbox = await world.makeSandbox('many', { 'index.js': '' });
  for (let index = 0; index < files; index += 1) {
    const place = join(sandbox, 'src', `folder-${index % 100}`);
    if (index < 100) mkdirSync(place);
    writeFileSync(join(place, `file-${index}.js`), `module.exports = ${index};\n`.repeat(1 + (index % 50)));
  }
  const packer = join(folder, 'work', 'pack.mjs');
  await build({
    entryPoints: ['bench/pack.ts'],
    outfile: packer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  });
  // Beside node_modules, or the packages that are not bundled would not be found.
  const place = join('.cache', 'bench-pack.mjs');
  execFileSync('cp', [packer, place]);
  const results = await interleave(rounds, {
    sjs: () => printed([process.execPath, place, sandbox]),
    tar: () =>
      wall([
        'sh',
        '-c',
        'tar --sort=name -cf - "$1" 2>/dev/null | cat >/dev/null',
        'sh',
        join(sandbox, 'src'),
      ]),
    read: () => wall([process.execPath, 'bench/read-tree.mjs', join(sandbox, 'src')]),
    node: () => wall([process.execPath, '-e', '0']),
  });
  addRatio(
    'pack',
    'packing 10,000 small files, less the start of Node',
    1.5,
    results.sjs,
    ['`tar` of the same tree', results.tar],
    [
      'a Node program that opens and reads each file once, less `node -e 0`',
      results.read.map((ms, index) => ms - results.node[index]),
    ],
  );
}
