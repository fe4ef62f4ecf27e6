import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

let home: string;
const sjs = (args: readonly string[], options: Parameters<typeof runSjs>[2] = {}) =>
  runSjs(home, args, options);

beforeAll(async () => {
  home = await makeFolder();
});
afterAll(async () => {
  const images = JSON.parse((await sjs(['images', '--json'])).stdout) as { tag: string }[];
  for (const { tag } of images) sealed.add(tag);
});

// After that: images are listed in a folder that it removes.
const sealed = removeImages();
cleanFolders();

/** The tag that the one line about the seal names. */
const tagIn = (stderr: string): string => /^seal +(\S+?)(?:, unchanged)?$/m.exec(stderr)?.[1] ?? '';

describe('a file', () => {
  test('is sealed, said in one line, recognised when unchanged, recorded and replayable', async () => {
    const folder = await makeFolder({ 'hello.js': "console.log('hello', ...process.argv.slice(2))" });
    const first = await sjs(['run', 'hello.js', '--', 'Ada'], { cwd: folder });
    expect(first).toMatchObject({ code: 0, stdout: 'hello Ada\n' });
    const tag = tagIn(first.stderr);
    expect(tag).toMatch(/^sjs\/hello:[0-9a-f]{12}$/);
    const again = await sjs(['run', join(folder, 'hello.js')]);
    expect(again).toMatchObject({ code: 0, stdout: 'hello\n', stderr: `seal    ${tag}, unchanged\n` });
    expect(await sjs(['run', '-q', 'hello', '--', 'x'])).toEqual({
      code: 0,
      stdout: 'hello x\n',
      stderr: '',
    });
    expect((await sjs(['replay', tag])).stdout).toContain('reproduced');
    expect(await readdir(folder)).toEqual(['hello.js']);
  });

  test('of each kind that Node runs runs', async () => {
    const folder = await makeFolder({
      'a.mjs': "import { sep } from 'node:path'; console.log('mjs', sep, await 1)",
      'b.cjs': "console.log('cjs', typeof require)",
      'c.js': "import 'node:fs'; console.log('esm', typeof import.meta.url)",
      d: "#!/usr/bin/env node\nconsole.log('none')",
      'e.ts':
        "const said: string = 'ts';\nconsole.log(said as unknown);\nif (process.argv[2]) throw new Error(said!);",
    });
    for (const [file, said] of [
      ['a.mjs', 'mjs / 1'],
      ['b.cjs', 'cjs function'],
      ['c.js', 'esm string'],
      ['./d', 'none'],
      ['e.ts', 'ts'],
    ] as const) {
      expect(await sjs(['run', '-q', file], { cwd: folder })).toEqual({
        code: 0,
        stdout: `${said}\n`,
        stderr: '',
      });
    }
    const failed = await sjs(['run', '-q', 'e.ts', '--', 'x'], { cwd: folder });
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stderr).toMatch(/\/app\/e\.js:3:28/);
    expect(await readdir(folder)).toHaveLength(5);
  });
});

test('code runs from standard input and from the command line', async () => {
  const said = 'console.log("said", process.argv.slice(2).join())';
  expect(await sjs(['run', '-', '--', 'a'], { input: said })).toMatchObject({ code: 0, stdout: 'said a\n' });
  for (const words of [
    ['-e', said],
    ['--eval', said],
  ]) {
    const result = await sjs(['run', ...words, '--', 'a', 'b']);
    expect(result).toMatchObject({ code: 0, stdout: 'said a,b\n' });
    expect(tagIn(result.stderr)).toMatch(/^sjs\/eval:/);
  }
  const echo = 'process.stdin.pipe(process.stdout)';
  expect(await sjs(['run', '-q', '-e', echo], { input: 'in' })).toMatchObject({ stdout: 'in' });
  const file = join(await makeFolder({ 'in.txt': 'from a file' }), 'in.txt');
  expect(await sjs(['run', '-q', '-', '--stdin', file], { input: echo })).toMatchObject({
    stdout: 'from a file',
  });
  expect(await sjs(['run', '-e', echo, '--stdin', '/nowhere'])).toMatchObject({ code: 125 });
  expect(await sjs(['run', '-i', '-e', echo, '--stdin', file])).toMatchObject({ code: 125 });
});

describe('a folder', () => {
  test('with a sandbox.yaml is what that says, and has its lock', async () => {
    const yaml = sandboxYaml('declared', '  env: { A: "1" }\n  resources: { memory: 64Mi }\n');
    const folder = await makeFolder({
      'sandbox.yaml': yaml,
      'index.js': 'console.log(process.env.A, process.env.B)',
    });
    expect(await sjs(['run', '-q', folder])).toMatchObject({ code: 0, stdout: '1 undefined\n' });
    expect(await readdir(folder)).toContain('sandbox.lock');
    expect(await sjs(['run', '-q', '-e', 'B=2', folder])).toMatchObject({ code: 0, stdout: '1 2\n' });
    expect(await sjs(['run', '-m', '32Mi', folder])).toMatchObject({ code: 0 });
    const wider = await sjs(['run', '-m', '128Mi', folder]);
    expect(wider).toMatchObject({ code: 126 });
    expect(wider.stderr).toContain('RIGHTS_WIDENED');
  });

  test('without one is its package, TypeScript in it too, and nothing is written into it', async () => {
    const folder = await makeFolder({
      'package.json': '{"type":"module","scripts":{"start":"node src/main.ts a"}}',
      'src/main.ts':
        "import { x } from './x.ts';\nimport { y } from './y.js';\nconst z: number = x + y;\nconsole.log(z, ...process.argv.slice(2));",
      'src/x.ts': 'export const x: number = 1;',
      'src/y.ts': 'export const y: number = 2;',
    });
    expect(await sjs(['run', '-q', folder, '--', 'b'])).toEqual({ code: 0, stdout: '3 a b\n', stderr: '' });
    expect(await readdir(folder)).toEqual(['package.json', 'src']);
  });
});

describe('what a run grants', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await makeFolder({
      'job.js': `const { readFileSync, writeFileSync } = require('node:fs');
        const { A, B, TOKEN } = process.env;
        const attempt = (work) => { try { return work(); } catch (error) { return error.code; } };
        console.log(JSON.stringify({
          A, B, TOKEN,
          input: attempt(() => readFileSync('/in/data.txt', 'utf8')),
          written: attempt(() => writeFileSync('/in/data.txt', '')),
          out: attempt(() => writeFileSync('/out/result', 'made')),
          args: process.argv.slice(2),
        }));`,
      'data.txt': 'given',
      'more.env': '# more\nA=file\nB="q"\n',
      token: 'hush',
    });
  });
  const run = async (words: readonly string[], options: Parameters<typeof runSjs>[2] = {}) => {
    const result = await sjs(['run', ...words], { cwd: folder, ...options });
    return { ...result, said: JSON.parse(result.stdout || '{}') as Record<string, unknown> };
  };

  test('is sealed with a file: a variable, an input, a place for artifacts, a command', async () => {
    const out = join(await makeFolder(), 'out');
    const words = ['--env-file', 'more.env', '-e', 'A=1', '--in', 'data.txt', '--out', out];
    const { said, stderr } = await run([...words, 'job.js']);
    expect(said).toMatchObject({ A: '1', B: '"q"', input: 'given', args: [] });
    expect(said['written']).toMatch(/^(?:EROFS|ERR_ACCESS_DENIED|EACCES)$/);
    expect(await readFile(join(out, 'result'), 'utf8')).toBe('made');
    const sealed = await sjs(['run', '-q', tagIn(stderr)]);
    expect(JSON.parse(sealed.stdout)).toMatchObject({ A: '1', input: 'given' });
    expect((await run(['--cmd', '["node","/app/job.js","x y"]', 'job.js', '--', 'z'])).said).toMatchObject({
      args: ['x y', 'z'],
      input: 'ENOENT',
    });
  });

  test('has secrets from the environment, a file and standard input, which the image does not have', async () => {
    for (const [word, options] of [
      ['TOKEN', { env: { TOKEN: 'hush' } }],
      ['TOKEN=@token', {}],
      ['TOKEN=@-', { input: 'hush' }],
    ] as const) {
      const { said, stderr } = await run(['--secret', word, 'job.js'], options);
      expect(said).toMatchObject({ TOKEN: 'hush' });
      const image = execFileSync('docker', ['image', 'inspect', tagIn(stderr)], { encoding: 'utf8' });
      expect(image).toContain('TOKEN');
      expect(image).not.toContain('hush');
    }
  });

  test('has limits beyond the defaults, where no sandbox.yaml states them', async () => {
    const { stdout } = await sjs(['run', '--json', '--memory', '300Mi', '--timeout', '40s', 'job.js'], {
      cwd: folder,
    });
    expect(JSON.parse(stdout)).toMatchObject({
      limits: { memoryBytes: 300 * 1024 ** 2, timeoutMs: 40_000 },
    });
  });

  test('is refused on what is sealed already', async () => {
    expect(await run(['job.js'])).toMatchObject({ code: 0 });
    for (const words of [
      ['--in', 'data.txt'],
      ['--cmd', '["node","x.js"]'],
      ['--port', '3000:3000'],
      ['--egress', 'example.com:443'],
    ]) {
      const { code, stderr } = await run([...words, 'job']);
      expect({ code, stderr }).toMatchObject({
        code: 126,
        stderr: expect.stringContaining('RIGHTS_WIDENED'),
      });
      expect(stderr).toContain(words[0]);
    }
  });

  test.each([
    [['--egress', 'example.com:443', 'job.js'], 126, 'POLICY_VIOLATION'],
    [['--port', '3000:3000', 'job.js'], 126, 'POLICY_VIOLATION'],
    [['--egress', 'example.com', 'job.js'], 125, '--egress'],
    [['--port', '3000:80', 'job.js'], 125, '--port'],
    [['--in', 'gone.txt', 'job.js'], 125, 'SOURCE_NOT_FOUND'],
    [['--in', '.', 'job.js'], 125, 'SOURCE_SPECIAL_FILE'],
    [['--in', 'data.txt', '--in', './data.txt', 'job.js'], 125, 'would be /in/data.txt'],
    [['-e', 'LD_PRELOAD=x', 'job.js'], 126, 'ENV_REFUSED'],
    [['--cmd', 'node x.js', 'job.js'], 125, 'no JSON list'],
    [['gone.js'], 127, 'there is no file or folder gone.js'],
    [['/'], 125, 'SOURCE_ROOT'],
    [['/bin/ls'], 125, 'is binary'],
  ])('%j is refused with %i %s', async (words, status, line) => {
    const { code, stderr } = await run(words);
    expect(code).toBe(status);
    expect(stderr).toContain(line);
    expect(stderr).toMatch(/^ {2}next: /m);
  });

  test('a name that is a folder’s too is answered with that', async () => {
    const where = await makeFolder({ 'thing/index.js': '' });
    const { code, stderr } = await sjs(['run', 'thing'], { cwd: where });
    expect(code).toBe(127);
    expect(stderr).toContain('sjs run ./thing');
  });

  test('without a default base the one command that makes one is named', async () => {
    const policy = join(await makeFolder(), 'policy.yaml');
    await writeFile(policy, 'apiVersion: sjs/v1\nkind: Policy\n', { mode: 0o600 });
    const { code, stderr } = await run(['job.js'], { env: { SJS_POLICY: policy } });
    expect(code).toBe(125);
    expect(stderr).toMatch(/BASE_NOT_PINNED[\s\S]*next: .*sjs base import .* --trust/);
  });
});

test('any arguments reach the program byte for byte', async () => {
  const code = "process.stdout.write(JSON.stringify(process.argv.slice(2)) + '\\0')";
  const fixed = [
    '',
    ' ',
    '"',
    "'",
    '\\',
    '$HOME',
    '`id`',
    '$(id)',
    '{"a":[1,"b"]}',
    '--',
    '-e',
    '--json',
    'a\nb',
    '\t',
    '\u{1f600}é\u202e',
    '--env-file=x',
    '*',
    '%',
    '\ufffd',
  ];
  const run = async (args: readonly string[]): Promise<void> => {
    const { stdout } = await sjs(['run', '-q', '-e', code, '--', ...args]);
    expect(JSON.parse(stdout.replace('\0', ''))).toEqual(args);
  };
  await run(fixed);
  const unit = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...fixed));
  const arg = unit.map((text) => text.replaceAll('\0', ''));
  // Many to a run: what starts a container is dear, what it is given is not.
  for (const args of [[], ...fc.sample(fc.array(arg, { minLength: 80, maxLength: 80 }), 3)]) await run(args);
});

test('arguments that are not UTF-8 are refused', () => {
  const command = `"${process.execPath}" dist/cli/main.cjs run nothing -- "$(printf '\\377')"`;
  expect(() =>
    execFileSync('sh', ['-c', command], { stdio: 'pipe', env: { HOME: home, PATH: process.env['PATH'] } }),
  ).toThrow(/not UTF-8/);
});

describe('live', () => {
  const start = (args: readonly string[], stdio: 'pipe' | 'inherit' = 'pipe'): ChildProcess =>
    spawn(process.execPath, [resolve('dist/cli/main.cjs'), 'run', '-q', ...args], {
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        SJS_HOME: join(home, 'sjs'),
        SJS_POLICY: world.policyFile,
      },
      stdio: [stdio, 'pipe', 'pipe'],
    });
  const until = async (child: ChildProcess, words: string): Promise<void> => {
    let text = '';
    for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      text += chunk.toString();
      if (text.includes(words)) return;
    }
    throw new Error(`${words} never came: ${text}`);
  };
  const TALK = `process.stdout.write('name? ');
    process.stdin.on('data', (data) => process.stdout.write('hello ' + data.toString().trim() + '; more? '))`;

  test('what is written without a line break arrives before the program ends, and it can be answered', async () => {
    const child = start(['-e', TALK]);
    await until(child, 'name? ');
    child.stdin!.write('Ada\n');
    await until(child, 'hello Ada; more? ');
    child.stdin!.write('Bob\n');
    await until(child, 'hello Bob; more? ');
    child.stdin!.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test('a program is talked to through a terminal with -i', async () => {
    const command = `"${process.execPath}" "${resolve('dist/cli/main.cjs')}" run -q -i -e ${JSON.stringify(TALK.replaceAll('\n', ' '))}`;
    const child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        SJS_HOME: join(home, 'sjs'),
        SJS_POLICY: world.policyFile,
      },
    });
    await until(child, 'name? ');
    child.stdin.write('Ada\n');
    await until(child, 'hello Ada; more? ');
    // Ctrl-C, as the terminal makes it.
    child.stdin.write('\x03');
    expect(await once(child, 'exit')).toEqual([130, null]);
  });

  test('Ctrl-C stops a program gently, a second one at once', async () => {
    const gentle = start([
      '-e',
      "process.on('SIGINT', () => { console.log('bye'); process.exit(3) }); setInterval(() => {}, 9); console.log('up')",
    ]);
    await until(gentle, 'up');
    gentle.kill('SIGINT');
    await until(gentle, 'bye');
    expect(await once(gentle, 'exit')).toEqual([130, null]);

    const deaf = start([
      '-e',
      "process.on('SIGINT', () => console.log('no')); setInterval(() => {}, 9); console.log('up')",
    ]);
    await until(deaf, 'up');
    deaf.kill('SIGINT');
    await until(deaf, 'no');
    deaf.kill('SIGINT');
    expect(await once(deaf, 'exit')).toEqual([130, null]);
  });

  test('stdout and stderr each arrive in their order', async () => {
    const code = 'for (let i = 0; i < 500; i += 1) { console.log(i); console.error(i); }';
    const { stdout, stderr } = await sjs(['run', '-q', '-e', code]);
    const numbers = `${Array.from({ length: 500 }, (_, i) => i).join('\n')}\n`;
    expect({ stdout, stderr }).toEqual({ stdout: numbers, stderr: numbers });
  });
});

test('what the README shows of it is so', async () => {
  const section = /^## Run anything$(.*?)^## /ms.exec(await readFile('README.md', 'utf8'))?.[1] ?? '';
  const shown = /^```console\n(.*?)^```/ms.exec(section)?.[1] ?? '';
  const commands = shown.split(/^\$ /m).slice(1);
  expect(commands.length).toBeGreaterThan(3);
  for (const text of commands) {
    const [command = '', ...output] = text.split('\n');
    const script = `sjs() { "${process.execPath}" dist/cli/main.cjs "$@"; }; ${command}`;
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      SJS_HOME: join(home, 'sjs'),
      SJS_POLICY: world.policyFile,
    };
    const stdout = execFileSync('sh', ['-c', script], {
      encoding: 'utf8',
      env,
      stdio: 'pipe',
      timeout: 60_000,
    });
    expect({ command, stdout }).toEqual({ command, stdout: output.join('\n') });
  }
});

describe('the examples', () => {
  test.each([
    [['examples/hello-world.js'], 'Hello, world!\n'],
    [['examples/mod-exp.js', '--', '65', '17', '3233'], '2790\n'],
  ])('%j prints %j', async (words, stdout) => {
    const examples = resolve('examples');
    expect(await sjs(['run', '-q', ...words], { cwd: resolve(examples, '..') })).toEqual({
      code: 0,
      stdout,
      stderr: '',
    });
  });

  test('derive-age says how it is used', async () => {
    const { code, stderr } = await sjs(['run', '-q', resolve('examples/derive-age.js'), '--', 'Ada']);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('usage: ') });
  });

  test('temporary-link, an Express server with its packages, starts inside', async () => {
    const folder = await makeFolder();
    await cp('examples/temporary-link', folder, {
      recursive: true,
      filter: (path) => !/node_modules|sandbox\.lock/.test(path),
    });
    // Without a network it can be reached from inside alone: it asks itself.
    const ask = `process.argv[2] = JSON.stringify({ hello: 'world' });
      await import('./server.js');
      const get = () => fetch('http://127.0.0.1:' + process.env.PORT + '/mydata').then((r) => r.text(), () => 'closed');
      console.log(await get(), await get());`;
    await writeFile(join(folder, 'ask.mjs'), ask);
    const words = ['run', '-q', '-e', 'PORT=3005', '--cmd', '["node","/app/ask.mjs"]', folder];
    expect(await sjs(words)).toEqual({
      code: 0,
      stdout: 'listening on 3005\n{"hello":"world"} closed\n',
      stderr: '',
    });
  }, 150_000);
});
