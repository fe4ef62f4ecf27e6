// Bundles the command line, the library, the reaper and the guest programs into dist/.
import { build } from 'esbuild';
import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { compile } from './compile-code.mjs';

await rm('dist', { recursive: true, force: true });
await mkdir('dist', { recursive: true });

/**
 * dockerode loads the first of these for ssh and BuildKit sessions. sjs uses none of that; together with what yargs lays
 * out help with they cost more than 100 ms a start.
 */
const UNUSED = [
  [/^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/, /dockerode|docker-modem/],
  [/^(tar-fs|@balena\/dockerignore|zlib)$/, /node_modules\/dockerode\//],
  // What npm needs to make packages of git repositories and folders, and to ask about their signers.
  [/^(sigstore|npm-packlist|@npmcli\/(run-script|git))$/, /node_modules\/(pacote|@npmcli\/package-json)\//],
  // CycloneDX's library can write XML, and check what it wrote.
  [/^(ajv|ajv-formats|ajv-formats-draft2019|libxmljs2|xmlbuilder2|spdx-expression-parse)$/, /@cyclonedx\//],
];
const REFUSE = (name) => `
  const refuse = () => { throw new Error(${JSON.stringify(`${name} is not part of sjs`)}); };
  const stub = new Proxy(function () {}, {
    get: (_, key) => (key === 'prototype' || key === '__esModule' || typeof key === 'symbol' ? undefined : stub),
    apply: refuse,
    construct: refuse,
  });
  module.exports = stub;`;

/** A module that loads another at its first use. What esbuild makes of it for named imports inherits from it. */
function makeLazy(name) {
  return `
    const load = () => require('${name}');
    const lazy = new Proxy(function () {}, {
      get: (_, key) => load()[key],
      apply: (_, self, args) => Reflect.apply(load(), self, args),
      getPrototypeOf: () => lazy,
    });
    module.exports = lazy;`;
}

/**
 * docker-modem loads these at once and needs none of them for a socket: https at the first call over TLS, a log that is
 * off and what spells out each request for it, and a copy of Node's own streams.
 */
const REPLACED = {
  https: makeLazy('node:https'),
  debug: 'module.exports = () => () => undefined;',
  util: `module.exports = Object.create(require('node:util'), { inspect: { value: () => '' } });`,
  'readable-stream': `module.exports = require('node:stream');`,
};

const unused = {
  name: 'unused',
  setup(context) {
    // What else there is in it lays out help.
    context.onLoad({ filter: /node_modules\/yargs\/helpers\/helpers\.mjs$/ }, ({ path }) => ({
      contents: `export { default as Parser } from 'yargs-parser';`,
      resolveDir: dirname(path),
    }));
    for (const [filter, by] of UNUSED) {
      context.onResolve({ filter }, ({ path, importer }) =>
        by.test(importer) ? { path, namespace: 'unused' } : undefined,
      );
    }
    context.onResolve(
      { filter: new RegExp(`^(${Object.keys(REPLACED).join('|')})$`) },
      ({ path, importer }) =>
        /node_modules\/docker-modem\//.test(importer) ? { path, namespace: 'replaced' } : undefined,
    );
    context.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({ contents: REFUSE(path) }));
    context.onLoad({ filter: /.*/, namespace: 'replaced' }, ({ path }) => ({ contents: REPLACED[path] }));
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
  entryPoints: ['src/index.ts'],
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

const single = (entry, outfile, options = {}) =>
  build({ ...shared, entryPoints: [entry], outfile, format: 'cjs', ...options });
const compact = {
  supported: { 'dynamic-import': false },
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [unused],
  define: { 'import.meta.dirname': '__dirname', 'import.meta.url': '__url' },
};
await single('src/cli/main.ts', 'dist/cli/main.cjs', compact);
await chmod('dist/cli/main.cjs', 0o755);

/**
 * The command line is one file, since each file of a start costs; what not every command needs lies beside it, and is
 * loaded when it is first used.
 */
const BESIDE = [
  '@balena/dockerignore',
  '@npmcli/config',
  '@npmcli/config/lib/definitions/index.js',
  'ajv',
  'execa',
  'pacote',
  '@cyclonedx/cyclonedx-library',
  'packageurl-js',
  'semver',
  'ssri',
  'tar-fs',
  'tar-stream',
  'ts-blank-space',
  'typescript',
];
const bundleName = (specifier) => `./${specifier.replace(/[^a-z-]+/g, '-').replace(/^-/, '')}.cjs`;
const beside = {
  name: 'beside',
  setup(context) {
    context.onResolve({ filter: new RegExp(`^(${BESIDE.join('|')})$`) }, ({ path, kind }) => {
      if (kind === 'entry-point') return undefined;
      return kind === 'import-statement'
        ? { path, namespace: 'lazy' }
        : { path: bundleName(path), external: true };
    });
    context.onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path }) => ({ contents: makeLazy(path) }));
  },
};
/**
 * What `--warm` loads, when there is a pool: the command line without the library, and of Node what is used. Anything else
 * is for the whole.
 */
const warm = {
  name: 'warm',
  setup(context) {
    context.onResolve({ filter: /\/verb-table\.js$/ }, ({ resolveDir }) => ({
      path: join(resolveDir, 'warm-verbs.ts'),
    }));
    context.onResolve({ filter: /^\.\/sjs\.js$/ }, () => ({ path: 'sjs', namespace: 'none' }));
    context.onLoad({ filter: /.*/, namespace: 'none' }, () => ({
      contents: 'export const createSjs = () => ({});',
    }));
    context.onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
      namespace === 'lazy' ? { path, external: true } : { path, namespace: 'lazy' },
    );
    context.onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path }) => ({ contents: makeLazy(path) }));
  },
};
const WARM = 'dist/cli/warm.cjs';
await Promise.all(
  ['src/cli/run-cli.ts', WARM, ...BESIDE].map(async (name) => {
    const entry = name === WARM ? 'src/cli/run-cli.ts' : name;
    const outfile =
      name === WARM ? WARM : join('dist/cli', entry.startsWith('src/') ? 'run-cli.cjs' : bundleName(entry));
    await single(entry, outfile, {
      ...compact,
      plugins: name === WARM ? [unused, warm] : [unused, beside],
      // As a function, which the launcher calls.
      banner: {
        js: '(function(require,__dirname,__url,__filename){const module={exports:{}};let exports=module.exports;',
      },
      footer: { js: 'return module.exports})' },
    });
    compile(outfile);
  }),
);
await single('src/adapters/docker/reaper-main.ts', 'dist/reaper.cjs');
// Guest programs become part of sealed images: not minified, so that anybody can read what is in there.
await single('src/guest/secrets-preload.ts', 'dist/guest/secrets-preload.cjs');
await single('src/guest/determinism-preload.ts', 'dist/guest/determinism-preload.cjs');
await single('src/guest/call/main.ts', 'dist/guest/call.cjs');
await single('src/guest/modules-preload.ts', 'dist/guest/modules-preload.cjs');
await single('src/guest/collector.ts', 'dist/guest/collector.cjs');
await single('src/guest/gateway/main.ts', 'dist/guest/gateway.cjs');
for (const file of ['start.py', 'call.py']) await copyFile(`src/guest/${file}`, `dist/guest/${file}`);
