import { expect, test } from '@jest/globals';
import { parseSandbox } from '../../../../src/stages/load/load-sandbox.js';

const parse = (spec: string) =>
  parseSandbox(
    Buffer.from(`apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: x }\nspec:\n  source: .\n${spec}`),
    '/x/sandbox.yaml',
  );

test.each([
  ['  entrypoint: main.py\n', 'python', ['python3', '/app/main.py']],
  ['  entrypoint: main.ts\n', 'node', ['node', '/app/main.ts']],
  [
    '  entrypoint: main.ts\n  base: { image: r.example/deno, version: "2" }\n',
    'deno',
    ['deno', '/app/main.ts'],
  ],
  ['  language: bun\n  entrypoint: main.ts\n', 'bun', ['bun', '/app/main.ts']],
])('%j is %s', async (spec, language, command) => {
  expect((await parse(spec)).sandbox).toMatchObject({ language, command });
});

const NONE = { childProcess: false, worker: false, addons: false, wasi: false };
const ALL = { childProcess: true, worker: true, addons: true, wasi: true };
test.each([
  ['node', '', NONE],
  // Its workers have the rights of the program, and nothing takes them away.
  ['deno', '', { ...NONE, worker: true }],
  ['deno', '  permissions: { childProcess: true }\n', { ...NONE, worker: true, childProcess: true }],
  ['bun', '', ALL],
  ['python', '', ALL],
])('%s with %j is sealed with what its runtime cannot keep from it', async (language, spec, permissions) => {
  const { sandbox } = await parse(`  language: ${language}\n  entrypoint: main\n${spec}`);
  expect(sandbox.permissions).toEqual(permissions);
});

test.each([
  ['  entrypoint: tool\n', 'SANDBOX_INVALID', 'spec.language: nothing says'],
  ['  language: ruby\n  entrypoint: x.rb\n', 'SANDBOX_INVALID', 'spec.language'],
  [
    '  language: python\n  entrypoint: x.py\n  permissions: { worker: false }\n',
    'SANDBOX_INVALID',
    'permissions.worker: Python can',
  ],
  [
    '  language: deno\n  entrypoint: x.ts\n  permissions: { wasi: true }\n',
    'SANDBOX_INVALID',
    'permissions.wasi: Deno can',
  ],
  ['  language: python\n  command: [python3, -i]\n', 'SANDBOX_INVALID', 'Python’s own options'],
  ['  language: deno\n  command: [deno, run, x.ts]\n', 'SANDBOX_INVALID', 'Deno’s own options'],
  [
    '  language: bun\n  entrypoint: x.ts\n  determinism: { seed: 1 }\n',
    'SANDBOX_INVALID',
    'spec.determinism',
  ],
  ['  language: python\n  entrypoint: x.py\n  secrets: [A]\n', 'NOT_YET', 'secrets of Python'],
  [
    '  language: python\n  entrypoint: x.py\n  dependencies: { omit: [dev] }\n',
    'SANDBOX_INVALID',
    'has no kinds of packages',
  ],
  ['  language: deno\n  entrypoint: x.ts\n  dependencies: {}\n', 'NOT_YET', 'packages of Deno'],
])('%j is refused', async (spec, code, message) => {
  await expect(parse(spec)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});
