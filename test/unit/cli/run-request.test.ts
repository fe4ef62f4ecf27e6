import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOwnStdin } from '../../../src/cli/own-stdin.js';
import { parseArgs } from '../../../src/cli/parse-args.js';
import { parseEnv, parseLimits, readEnvFiles, readSecrets } from '../../../src/cli/run-request.js';
import { runVerb } from '../../../src/cli/verbs/run.js';

const noStdin = createOwnStdin(() => Readable.from([]));

const limitsOf = (...words: string[]) => parseLimits(parseArgs('run', runVerb, [...words, 'job']));

describe('limits', () => {
  test('are read with their units', () => {
    expect(
      limitsOf(
        ...['-m', '64Mi', '--cpus', '0.5', '--pids', '9', '--files', '99'],
        ...['--timeout', '1m30s', '--output-limit', '1Mi'],
      ),
    ).toEqual({
      memoryBytes: 64 * 1024 ** 2,
      milliCpu: 500,
      pids: 9,
      files: 99,
      timeoutMs: 90_000,
      outputBytes: 1024 ** 2,
    });
    expect(limitsOf()).toEqual({});
  });

  test.each([
    ['--memory', '64m'],
    ['--memory', '-1'],
    ['--memory', ''],
    ['--cpu', 'all'],
    ['--pids', '1.5'],
    ['--pids', '-1'],
    ['--files', '0x10'],
    ['--timeout', '30'],
    ['--output-limit', '1MB'],
  ])('%s %j is refused', (option, value) => {
    expect(() => limitsOf(`${option}=${value}`)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test.each(['--memory', '--cpu', '--pids', '--files', '--timeout', '--output-limit'])(
    "%s of zero, docker's word for no limit, is refused",
    (option) => {
      expect(() => limitsOf(option, option === '--timeout' ? '0s' : '0')).toThrow(/is no limit/);
    },
  );
});

test('variables are given, or taken from the environment when they are set there', () => {
  const env = { HERE: 'yes', __proto__: null } as unknown as NodeJS.ProcessEnv;
  expect(parseEnv(['A=1', 'B=', 'C=x=y', 'HERE', 'GONE', 'A=2'], env)).toEqual({
    A: '2',
    B: '',
    C: 'x=y',
    HERE: 'yes',
  });
  expect(Object.keys(parseEnv(['__proto__=x'], env))).toEqual(['__proto__']);
  expect(() => parseEnv(['=x'], env)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});

describe('secrets', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sjs-cli-'));
    await writeFile(join(folder, 'token'), 'abc\n');
    await writeFile(join(folder, 'binary'), Buffer.from([0xff, 0xfe]));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('come from the environment or, byte for byte, from a file', async () => {
    expect(await readSecrets(['A', `B=@${join(folder, 'token')}`], { A: 'value' }, noStdin)).toEqual({
      A: 'value',
      B: 'abc\n',
    });
  });

  test('on the command line are refused, and not repeated', async () => {
    const error = await readSecrets(['TOKEN=hunter2'], {}, noStdin).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('command line'),
    });
    expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
  });

  test.each([['A'], [`A=@/nowhere/at/all`], ['binary']])(
    'that are not there or not text are refused: %s',
    async (word) => {
      const given = word === 'binary' ? `A=@${join(folder, 'binary')}` : word;
      await expect(readSecrets([given], {}, noStdin)).rejects.toMatchObject({ code: 'SECRET_MISSING' });
    },
  );
});

describe('a file of variables', () => {
  const inFile = async (text: string | Buffer): Promise<readonly string[]> => {
    const folder = await mkdtemp(join(tmpdir(), 'sjs-cli-'));
    try {
      await writeFile(join(folder, 'env'), text);
      return await readEnvFiles([join(folder, 'env')]);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test('has one a line, as docker reads it', async () => {
    expect(await inFile('# remark\n\nA=1\r\n  B="x y" \nC\nD=\nE=a=b#c\n')).toEqual([
      'A=1',
      'B="x y" ',
      'C',
      'D=',
      'E=a=b#c',
    ]);
  });

  test('may begin with a byte order mark', async () => {
    expect(await inFile('\ufeffA=1')).toEqual(['A=1']);
  });

  test.each(['two words', 'A B=1', '=x', Buffer.from([0xff, 0x3d, 0x31])])(
    'is refused with %j, which is not repeated',
    async (text) => {
      const error = await inFile(text).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'USAGE' });
      expect(String(error)).not.toContain('two words');
    },
  );

  test('has to be there', async () => {
    await expect(readEnvFiles(['/nowhere/at/all'])).rejects.toMatchObject({ code: 'USAGE' });
  });
});

test('a secret can come on standard input', async () => {
  const stdin = createOwnStdin(() => Readable.from([Buffer.from('hush\n')]));
  expect(await readSecrets(['A=@-'], {}, stdin)).toEqual({ A: 'hush\n' });
  await expect(readSecrets(['A=@-'], {}, stdin)).rejects.toMatchObject({ code: 'USAGE' });
});

test.each(['toString', 'constructor', '__proto__'])('%s is in no environment', async (name) => {
  expect(parseEnv([name], {})).toEqual({});
  await expect(readSecrets([name], {}, noStdin)).rejects.toMatchObject({ code: 'SECRET_MISSING' });
});

test('a file of variables or of a secret that never ends is not read for ever', async () => {
  await expect(readEnvFiles(['/dev/zero'])).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
  await expect(readSecrets(['A=@/dev/zero'], {}, noStdin)).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
});
