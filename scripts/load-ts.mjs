import { build } from 'esbuild';
import { mkdirSync, writeFileSync } from 'node:fs';

/** The exports of a TypeScript file of this project. */
export async function loadTs(file) {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  });
  const target = new URL(
    `../node_modules/.cache/sjs-generate/${file.replaceAll('/', '-')}.mjs`,
    import.meta.url,
  );
  mkdirSync(new URL('.', target), { recursive: true });
  writeFileSync(target, outputFiles[0].contents);
  return import(target.href);
}
