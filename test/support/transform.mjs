import { transform } from 'esbuild';

/** Takes the types out of a file for jest; `npm run lint` is what checks them. */
export default {
  processAsync: async (source, path) =>
    await transform(source, {
      loader: 'ts',
      format: 'esm',
      target: 'node20',
      sourcefile: path,
      sourcemap: 'inline',
      sourcesContent: false,
      tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    }),
};
