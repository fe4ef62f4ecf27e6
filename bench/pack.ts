// What a build does with a source before the engine sees it: walk, check, pack. Bundled by bench.mjs; takes a sandbox's
// folder and prints milliseconds.
import { collectSource } from '../src/stages/collect/collect-source.js';
import { loadSandbox } from '../src/stages/load/load-sandbox.js';
import { packContext } from '../src/stages/pack/pack-context.js';

const loaded = await loadSandbox(process.argv[2] ?? '');
const start = performance.now();
const tree = await collectSource(loaded, { maxBytes: 2 ** 30, forbidden: { containing: [], being: [] } });
const context = await packContext({ dockerfile: 'FROM scratch\n', tree, files: {}, folders: [] });
console.log(performance.now() - start);
if (tree.entries.length < 10_000 || context.bytes < 10_000 * 512)
  throw new Error('not everything was packed');
