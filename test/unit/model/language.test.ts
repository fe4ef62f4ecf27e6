import { describe, expect, test } from '@jest/globals';
import {
  commandOf,
  inferLanguage,
  languageOfBase,
  languageOfFile,
  LANGUAGES,
  startsRuntime,
  RUNTIME_ENV,
} from '../../../src/model/language.js';
import { isReservedEnv } from '../../../src/model/sandbox.js';
import { splitCommand } from '../../../src/model/split-command.js';
import { programCommand } from '../../../src/stages/render/program-command.js';
import { makeSandbox } from '../../support/sandbox.js';

const MEMORY = 256 * 1024 ** 2;

describe('the language of a sandbox that states none', () => {
  test.each([
    [{ entrypoint: 'main.py' }, 'python'],
    [{ entrypoint: 'main.py', base: { image: 'r.example/base/node' } }, 'python'],
    [{ entrypoint: 'main.ts' }, 'node'],
    [{ entrypoint: 'main.ts', base: { image: 'r.example/base/deno' } }, 'deno'],
    [{ entrypoint: 'x.js', base: { image: 'r.example:5000/bun' } }, 'bun'],
    [{ command: ['/usr/bin/python3', '/app/x'] }, 'python'],
    [{ command: ['/bin/sh'] }, null],
    [{ entrypoint: 'tool' }, null],
  ])('%j is %s', (spec, language) => {
    expect(inferLanguage(spec)).toBe(language);
  });

  test('comes from a whole name', () => {
    expect(languageOfBase('r.example/python/tools')).toBeNull();
    expect(languageOfBase('r.example/base/python:3.11.2')).toBe('python');
    expect(languageOfFile('x.rb')).toBeNull();
  });
});

describe('what starts a program', () => {
  test.each(LANGUAGES)(
    'of %s has no word of its author among the options, and comes apart again',
    (language) => {
      const author = [...commandOf(language, './src/main.x'), '--', '--version', '-e', 'x'];
      const entrypoint = programCommand(makeSandbox({ language, command: author }), MEMORY, null);
      expect(startsRuntime(language, entrypoint)).toBe(true);
      const { author: found, options } = splitCommand(entrypoint, language);
      expect(found).toEqual(author);
      expect(options.filter((word) => word !== 'run' && !word.startsWith('-'))).toEqual([]);
      expect(entrypoint.slice(-4)).toEqual(['--', '--version', '-e', 'x']);
    },
  );

  test.each(LANGUAGES)('is left alone where a sandbox of %s starts something else', (language) => {
    const command = ['/app/tool', '-x'];
    expect(programCommand(makeSandbox({ language, command }), MEMORY, null)).toEqual(command);
    expect(splitCommand(command, language)).toEqual({ author: command, options: [] });
  });

  test('gives Deno what is declared and nothing else', () => {
    const permissions = { childProcess: false, worker: true, addons: false, wasi: false };
    const deno = makeSandbox({ language: 'deno', command: commandOf('deno', 'x.ts'), permissions });
    const closed = programCommand(deno, MEMORY, null);
    expect(closed).toContain('--allow-write=/tmp');
    expect(closed).toContain('--v8-flags=--max-old-space-size=256');
    for (const flag of ['--allow-net', '--allow-run', '--allow-ffi', '--allow-all', '-A'])
      expect(closed).not.toContain(flag);
    const open = programCommand(
      {
        ...deno,
        permissions: { ...permissions, childProcess: true, addons: true },
        network: { mode: 'isolated', ports: [], egress: [] },
        filesystem: { tmpBytes: 1, outBytes: 1 },
      },
      MEMORY,
      null,
    );
    for (const flag of ['--allow-net', '--allow-run', '--allow-ffi', '--allow-write=/tmp,/out'])
      expect(open).toContain(flag);
  });

  test.each(['secrets', 'determinism'])('has no %s beside Node', (key) => {
    const given = key === 'secrets' ? { secrets: ['A'] } : { determinism: { clock: null, seed: 1 } };
    const sandbox = makeSandbox({ language: 'python', command: commandOf('python', 'x.py'), ...given });
    expect(() => programCommand(sandbox, MEMORY, null)).toThrow(
      expect.objectContaining({ code: 'SANDBOX_INVALID', message: expect.stringContaining(key) }),
    );
  });
});

describe('environment', () => {
  test.each(['PYTHONPATH', 'PythonStartup', 'DENO_DIR', 'BUN_OPTIONS', 'BUN_INSPECT', 'DENO_V8_FLAGS'])(
    '%s steers a runtime',
    (name) => expect(isReservedEnv(name)).toBe(true),
  );

  test.each(['PYTHON_VERSION', 'DENO_VERSION', 'BUN_VERSION', 'MY_PYTHON', 'NO_COLOR'])(
    '%s does not',
    (name) => expect(isReservedEnv(name)).toBe(false),
  );

  test('what sjs sets for a runtime no author and no run can set otherwise, colours apart', () => {
    const names = Object.values(RUNTIME_ENV).flatMap((env) => Object.keys(env));
    expect(names.filter((name) => !isReservedEnv(name))).toEqual(['NO_COLOR']);
  });
});
