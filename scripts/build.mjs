// Bundles the command line, the library, the reaper and the guest programs into dist/.
import { build } from 'esbuild';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';

await rm('dist', { recursive: true, force: true });
await mkdir('dist', { recursive: true });

/** dockerode loads these for ssh and BuildKit sessions, which sjs does not use; together they cost 100 ms a start. */
const unused = {
  name: 'unused',
  setup(context) {
    const filter = /^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/;
    context.onResolve({ filter }, ({ path }) => ({ path, namespace: 'unused' }));
    context.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({
      contents: `
        const refuse = () => { throw new Error(${JSON.stringify(`${path} is not part of sjs`)}); };
        const stub = new Proxy(function () {}, {
          get: (_, key) => (key === 'prototype' || key === '__esModule' || typeof key === 'symbol' ? undefined : stub),
          apply: refuse,
          construct: refuse,
        });
        module.exports = stub;`,
    }));
  },
};

const shared = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  legalComments: 'none',
};

await build({
  ...shared,
  entryPoints: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts' },
  outdir: 'dist',
  format: 'esm',
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [unused],
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
});
await chmod('dist/cli/main.js', 0o755);

const single = async (entry, outfile) => {
  if (existsSync(entry)) await build({ ...shared, entryPoints: [entry], outfile, format: 'cjs' });
};
await single('src/adapters/docker/reaper-main.ts', 'dist/reaper.cjs');
// Guest programs become part of sealed images: not minified, so that anybody can read what is in there.
await single('src/guest/secrets-preload.ts', 'dist/guest/secrets-preload.cjs');
await single('src/guest/collector.ts', 'dist/guest/collector.cjs');
