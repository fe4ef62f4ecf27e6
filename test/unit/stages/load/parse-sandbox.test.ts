import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../../src/errors.js';
import { DEFAULT_PERMISSIONS } from '../../../../src/model/sandbox.js';
import { parseSandbox } from '../../../../src/stages/load/load-sandbox.js';

const HEAD = 'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: job }\n';
const SPEC = 'spec:\n  language: node\n  source: .\n  entrypoint: index.js\n';

const parse = (text: string) => parseSandbox(Buffer.from(text), '/home/u/sandbox.yaml');
const withSpec = (lines: string) => parse(`${HEAD}${SPEC}${lines.replace(/^/gm, '  ')}\n`);

async function failure(promise: Promise<unknown>): Promise<SjsError> {
  const error = await promise.then(
    () => new Error('nothing was refused'),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SjsError);
  return error as SjsError;
}

describe('a valid file', () => {
  test('gets every default', async () => {
    const { sandbox, locate } = await withSpec('');
    expect(sandbox).toEqual({
      name: 'job',
      version: null,
      language: 'node',
      base: null,
      source: '.',
      exclude: [],
      inputs: [],
      command: ['node', '/app/index.js'],
      args: [],
      env: {},
      secrets: [],
      permissions: DEFAULT_PERMISSIONS,
      user: { uid: 65532, gid: 65532 },
      filesystem: { tmpBytes: 64 * 1024 ** 2, outBytes: null },
      network: { mode: 'none' },
      resources: {},
      runtime: 'runc',
      dependencies: null,
    });
    expect(locate('spec.entrypoint')).toEqual({ line: 7, column: 3 });
    expect(locate('spec.resources.memory')).toEqual({ line: 4, column: 1 });
  });

  test('with a browser has the operator’s base for it, and nothing else that is new', async () => {
    const { sandbox: plain } = await withSpec('');
    expect((await withSpec('browser: chromium')).sandbox).toEqual({ ...plain, browser: 'chromium' });
    const python = parse(
      `${HEAD}spec: { language: python, browser: chromium, source: ., entrypoint: x.py }\n`,
    );
    expect((await failure(python)).message).toMatch(/its base has Node, not Python/);
  });

  test('has all its quantities resolved', async () => {
    const { sandbox } = await withSpec(
      'resources: { cpu: 500m, memory: 64Mi, pids: 8, files: 64, timeout: 1m30s, output: 4Ki }\nfilesystem: { tmp: 1Mi, out: 2Mi }\nuser: "10000:10001"\nenv: { B: "2", A: "1" }\nsecrets: [Z, Y]\npermissions: { worker: true }',
    );
    expect(sandbox).toMatchObject({
      resources: {
        milliCpu: 500,
        memoryBytes: 64 * 1024 ** 2,
        pids: 8,
        files: 64,
        timeoutMs: 90_000,
        outputBytes: 4096,
      },
      filesystem: { tmpBytes: 1024 ** 2, outBytes: 2 * 1024 ** 2 },
      user: { uid: 10000, gid: 10001 },
      secrets: ['Y', 'Z'],
      permissions: { worker: true, childProcess: false },
    });
    expect(Object.keys(sandbox.env)).toEqual(['A', 'B']);
  });

  test('x- keys are free everywhere, and nothing is interpolated (C14)', async () => {
    const { sandbox } = await withSpec(
      'x-team: { any: [thing] }\nenv: { A: "${HOME} $(id)" }\nresources: { x-why: y }',
    );
    expect(sandbox.env).toEqual({ A: '${HOME} $(id)' });
  });
});

describe('the YAML itself', () => {
  test.each([
    ['an anchor alone', 'a: &x 1', 'YAML_ALIAS'],
    ['C07 a local tag', 'a: !secret x', 'YAML_TAG'],
    ['even a harmless tag', 'a: !!str 1', 'YAML_TAG'],
    ['C08 a second document', 'a: 1\n---\nb: 2', 'YAML_MULTIPLE_DOCUMENTS'],
    ['C08 a directive', '%YAML 1.1\n---\na: 1', 'YAML_MULTIPLE_DOCUMENTS'],
    ['a duplicate key', 'a: 1\na: 2', 'YAML_DUPLICATE_KEY'],
    ['a mapping for a key', '? { a: 1 }\n: 2', 'YAML_SYNTAX'],
    ['no YAML', 'a: [1', 'YAML_SYNTAX'],
    ['C17 a byte order mark', '\ufeffa: 1', 'YAML_SYNTAX'],
    ['C17 a C0 control', 'a: "x\u0007y"', 'YAML_SYNTAX'],
    ['C17 a C1 control', 'a: "x\u0090y"', 'YAML_SYNTAX'],
    ['C17 a bidi override', 'a: "x\u202ey"', 'YAML_SYNTAX'],
    ['a file of 257 KiB', `a: "${'x'.repeat(257 * 1024)}"`, 'FILE_TOO_LARGE'],
  ])('%s is refused', async (_name, text, code) => {
    const started = performance.now();
    const error = await failure(parse(text));
    expect(error).toMatchObject({ code, next: expect.any(String) });
    // eslint-disable-next-line no-control-regex
    expect(error.message).not.toMatch(/[\u0007\u0090\u202e\ufeff]/);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('C17: UTF-16 is refused', async () => {
    expect(await failure(parseSandbox(Buffer.from('a: 1', 'utf16le'), 'f'))).toMatchObject({
      code: 'YAML_SYNTAX',
    });
    expect(await failure(parseSandbox(Buffer.from([0xff, 0xfe, 0x61]), 'f'))).toMatchObject({
      code: 'YAML_SYNTAX',
    });
  });

  test('an error names line and column, and shows the place', async () => {
    const error = await failure(parse('a: 1\nb: 2\na: 3'));
    expect(error.location).toEqual({ file: '/home/u/sandbox.yaml', line: 3, column: 1 });
    expect(error.problems[0]?.snippet).toBe('3 | a: 3\n  | ^');
  });
});

describe('what it says', () => {
  test.each([
    [
      'an unknown key, with the one that was meant',
      'entrypont: x',
      'SANDBOX_INVALID',
      /spec\.entrypont: there is no such key/,
      /did you mean entrypoint\?/,
    ],
    [
      'a nested unknown key',
      'resources: { memroy: 64Mi }',
      'SANDBOX_INVALID',
      /spec\.resources\.memroy/,
      /did you mean memory\?/,
    ],
    ['C19 privileged', 'privileged: true', 'SANDBOX_INVALID', /spec\.privileged/, /allowed here/],
    ['C19 seccomp', 'seccomp: unconfined', 'SANDBOX_INVALID', /spec\.seccomp/, /./],
    [
      'B08 insecure flags',
      'base: { image: r.example/x, version: "1", insecure-ignore-tlog: true }',
      'SANDBOX_INVALID',
      /insecure-ignore-tlog/,
      /./,
    ],
    ['C06 user in octal', 'user: 0o0', 'SANDBOX_INVALID', /spec\.user: found 0, expected text/, /./],
    [
      'C06 memory with an underscore',
      'resources: { memory: 1_000 }',
      'SANDBOX_INVALID',
      /found "1_000", expected a quantity/,
      /./,
    ],
    [
      'C06 network: no',
      'network: no',
      'SANDBOX_INVALID',
      /spec\.network: found "no", expected a mapping/,
      /./,
    ],
    [
      'C06 timeout: 1:30',
      'resources: { timeout: 1:30 }',
      'SANDBOX_INVALID',
      /found "1:30", expected a duration/,
      /./,
    ],
    [
      'C06 pids with a blank',
      'resources: { pids: "64 " }',
      'SANDBOX_INVALID',
      /expected a whole number/,
      /./,
    ],
    [
      'C06 a number for text',
      'env: { A: 1 }',
      'SANDBOX_INVALID',
      /spec\.env\.A: found 1, expected text/,
      /./,
    ],
    ['C06 a truth for text', 'args: [true]', 'SANDBOX_INVALID', /spec\.args\.0/, /./],
    ['C11 -1', 'resources: { pids: -1 }', 'SANDBOX_INVALID', /-1 is out of range/, /between 1 and/],
    ['C11 0', 'resources: { memory: 0 }', 'SANDBOX_INVALID', /0 is out of range/, /between 6Mi and/],
    ['C11 NaN', 'resources: { pids: .nan }', 'SANDBOX_INVALID', /pids/, /./],
    ['C11 1e309', 'resources: { pids: 1e309 }', 'SANDBOX_INVALID', /pids/, /./],
    ['C11 more than a number holds', 'resources: { pids: 9007199254740993 }', 'SANDBOX_INVALID', /pids/, /./],
    ['C11 999Ti', 'resources: { memory: 999Ti }', 'SANDBOX_INVALID', /memory/, /./],
    [
      'C11 a timeout of 0',
      'resources: { timeout: 0s }',
      'SANDBOX_INVALID',
      /"0s" is out of range/,
      /between 1ms and 24h/,
    ],
    [
      'R19 less memory than Docker takes',
      'resources: { memory: 5Mi }',
      'SANDBOX_INVALID',
      /out of range/,
      /6Mi/,
    ],
    [
      'C12 an entrypoint outside',
      'entrypoint: ../../etc/passwd',
      'SANDBOX_INVALID',
      /stays in its folder/,
      /./,
    ],
    ['C12 an absolute entrypoint', 'entrypoint: /proc/self/fd/7/x', 'SANDBOX_INVALID', /relative path/, /./],
    ['C12 workdir', 'workdir: /proc/self/fd/8', 'SANDBOX_INVALID', /no such key/, /./],
    ['a source outside', 'source: ../other', 'SANDBOX_INVALID', /spec\.source/, /./],
    [
      'D11 a URL for a source',
      'source: https://example.com/x.git',
      'SANDBOX_INVALID',
      /only files on this machine/,
      /./,
    ],
    [
      'C13 LD_PRELOAD',
      'env: { LD_PRELOAD: /x.so }',
      'SANDBOX_INVALID',
      /spec\.env\.LD_PRELOAD/,
      /another name/,
    ],
    ['C13 NODE_OPTIONS', 'env: { NODE_OPTIONS: --inspect }', 'SANDBOX_INVALID', /NODE_OPTIONS/, /./],
    ['C13 PATH', 'env: { PATH: /evil }', 'SANDBOX_INVALID', /PATH/, /./],
    ['C13 SJS_ANYTHING', 'secrets: [SJS_KEY]', 'SANDBOX_INVALID', /SJS_KEY/, /./],
    ['C13 a name with =', 'env: { "A=B": x }', 'SANDBOX_INVALID', /spec\.env/, /./],
    ['C13 a line break in a value', 'env: { A: "x\\ny" }', 'SANDBOX_INVALID', /line breaks/, /./],
    ['C13 NUL in a value', 'env: { A: "x\\0y" }', 'SANDBOX_INVALID', /\\u0000/, /./],
    ['C17 an escaped bidi override', 'args: ["\\u202e"]', 'SANDBOX_INVALID', /\\u202e/, /./],
    ['a secret that is also env', 'env: { T: x }\nsecrets: [T]', 'SANDBOX_INVALID', /also set in env/, /./],
    ['a secret twice', 'secrets: [T, T]', 'SANDBOX_INVALID', /listed twice/, /./],
    ['a low uid', 'user: "9999:65532"', 'SANDBOX_INVALID', /at least 10000/, /./],
    ['root', 'user: "0:0"', 'SANDBOX_INVALID', /spec\.user/, /./],
    ['a uid beyond the kernel’s', 'user: "4294967295:65532"', 'SANDBOX_INVALID', /spec\.user/, /./],
    [
      'B01 a tag alone',
      'base: { image: "node:22" }',
      'BASE_NOT_PINNED',
      /neither version nor digest/,
      /version:/,
    ],
    [
      'a tag beside a version',
      'base: { image: "r.example/node:22", version: "22" }',
      'BASE_NOT_PINNED',
      /without tag or digest/,
      /./,
    ],
    [
      'B21 a short digest',
      'base: { image: r.example/node, digest: "sha256:abc" }',
      'SANDBOX_INVALID',
      /sha256: and 64 hex digits/,
      /./,
    ],
    [
      'B21 another algorithm',
      `base: { image: r.example/node, digest: "sha512:${'a'.repeat(64)}" }`,
      'SANDBOX_INVALID',
      /digest/,
      /./,
    ],
    [
      'B22 credentials in the image',
      'base: { image: "user:pw@host/x", version: "1" }',
      'SANDBOX_INVALID',
      /spec\.base\.image/,
      /./,
    ],
    [
      'version and digest',
      `base: { image: r.example/x, version: "1", digest: "sha256:${'a'.repeat(64)}" }`,
      'SANDBOX_INVALID',
      /exclude each other/,
      /./,
    ],
    ['no range', 'base: { image: r.example/x, version: latest }', 'SANDBOX_INVALID', /semver range/, /./],
    [
      'Node’s own options',
      'command: [node, --allow-child-process, x.js]',
      'SANDBOX_INVALID',
      /Node’s own options/,
      /./,
    ],
    [
      'Node’s own options behind a path',
      'command: [/usr/local/bin/node, --permission, x.js]',
      'SANDBOX_INVALID',
      /Node’s own options/,
      /./,
    ],
    [
      'a base beside a browser',
      'browser: chromium\nbase: { image: r.example/x, version: "1" }',
      'SANDBOX_INVALID',
      /base and browser exclude each other/,
      /keep one/,
    ],
    ['a browser that there is none of', 'browser: firefox', 'SANDBOX_INVALID', /spec\.browser/, /./],
    ['entrypoint and command', 'command: [node, x.js]', 'SANDBOX_INVALID', /exclude each other/, /./],
  ])('%s is refused', async (_name, lines, code, message, next) => {
    const key = /^(entrypoint|source|command): [^\n]*(?:\.\.|\/|--)/
      .exec(lines)?.[1]
      ?.replace('command', 'entrypoint');
    const overridden = key
      ? parse(`${HEAD}${SPEC.replace(new RegExp(`  ${key}: .*\n`), '')}  ${lines}\n`)
      : withSpec(lines);
    const error = await failure(overridden);
    expect(error.code).toBe(code);
    const [problem] = error.problems;
    expect(problem?.message).toMatch(message);
    expect(problem?.next ?? error.next).toMatch(next);
    expect(problem?.location).toMatchObject({
      file: '/home/u/sandbox.yaml',
      line: expect.any(Number),
      column: expect.any(Number),
      path: expect.any(String),
    });
  });

  test('a network is sorted, its ports at 127.0.0.1 where nothing else is said', async () => {
    const { sandbox } = await withSpec(
      'network: { mode: isolated, ports: ["0.0.0.0:0:8080", "3000:3005"], egress: ["b.test:80=10.0.0.1", "a.test:443"] }\nresources: { timeout: 1m }',
    );
    expect(sandbox.network).toEqual({
      mode: 'isolated',
      ports: [
        { hostAddress: '0.0.0.0', hostPort: 0, containerPort: 8080 },
        { hostAddress: '127.0.0.1', hostPort: 3000, containerPort: 3005 },
      ],
      egress: [
        { name: 'a.test', port: 443, address: null },
        { name: 'b.test', port: 80, address: '10.0.0.1' },
      ],
    });
  });

  test.each([
    [
      'network: { ports: ["3000:3005"] }\nresources: { timeout: 1m }',
      /spec\.network\.ports: needs mode: isolated/,
    ],
    ['network: { mode: none, egress: ["a.test:443"] }', /spec\.network\.egress: needs mode: isolated/],
    ['network: { mode: isolated, ports: ["3000:3005"] }', /must state how long it may run/],
    [
      'network: { mode: isolated, ports: ["3000:80"] }\nresources: { timeout: 1m }',
      /container port from 1024/,
    ],
    [
      'network: { mode: isolated, ports: ["3000:3005", "0.0.0.0:3000:3006"] }\nresources: { timeout: 1m }',
      /published already/,
    ],
    [
      'network: { mode: isolated, egress: ["10.0.0.1:443"] }',
      /egress\.0: found "10\.0\.0\.1:443", expected name:port/,
    ],
    [
      'network: { mode: isolated, egress: ["a.test:443", "a.test:443=1.2.3.4"] }',
      /a\.test:443 is declared twice/,
    ],
    ['network: { mode: host }', /spec\.network\.mode/],
  ])('%s is refused', async (lines, words) => {
    expect(await failure(withSpec(lines))).toMatchObject({
      code: 'SANDBOX_INVALID',
      message: expect.stringMatching(words),
    });
  });

  test('nobody’s sandbox has the name of the gateway', async () => {
    const text =
      'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: sjs-gateway }\nspec: { language: node, source: ., entrypoint: i.js }\n';
    expect(await failure(parse(text))).toMatchObject({ code: 'SANDBOX_INVALID' });
  });

  test('runtime: gvisor is not yet', async () => {
    expect(await failure(withSpec('runtime: gvisor'))).toMatchObject({
      code: 'NOT_YET',
      message: expect.stringContaining('not possible yet'),
    });
  });

  test('determinism is taken in one spelling, each half alone too', async () => {
    const take = async (lines: string) => (await withSpec(lines)).sandbox.determinism;
    const clock = '2024-01-01T00:00:00.000Z';
    expect(await take('determinism: { clock: 2024-01-01T00:00:00Z, seed: 42 }')).toEqual({ clock, seed: 42 });
    expect(await take('determinism: { clock: "2024-01-01T00:00:00.0Z" }')).toEqual({ clock, seed: null });
    expect(await take('determinism: { seed: 0 }')).toEqual({ clock: null, seed: 0 });
    expect(await take('args: []')).toBeUndefined();
  });

  test.each([
    'determinism: {}',
    'determinism: { seed: -1 }',
    'determinism: { seed: 1.5 }',
    'determinism: { seed: 9007199254740992 }',
    'determinism: { clock: 2024-01-01 }',
    'determinism: { clock: 2023-02-29T00:00:00Z }',
    'determinism: { clock: 2024-01-01T25:00:00Z }',
    'determinism: { clock: "2024-01-01T00:00:00+01:00" }',
    'determinism: { x-note: 1 }',
  ])('%s freezes nothing', async (lines) => {
    expect(await failure(withSpec(lines))).toMatchObject({ code: 'SANDBOX_INVALID' });
  });

  test('a list of modules is taken in one spelling; what is not given is empty', async () => {
    const take = async (lines: string) => (await withSpec(lines)).sandbox.modules;
    expect(
      await take('modules: { builtins: [url, node:crypto, crypto], packages: [lodash, "@a/b"] }'),
    ).toEqual({
      builtins: ['crypto', 'url'],
      packages: ['@a/b', 'lodash'],
    });
    expect(await take('modules: {}')).toEqual({ builtins: [], packages: [] });
    expect(await take('args: []')).toBeUndefined();
  });

  test.each([
    ['modules: { builtins: [cripto] }', /found "cripto", which is no module of Node/, 'write crypto'],
    ['modules: { builtins: [node:fs/promise] }', /no module of Node/, 'write fs/promises'],
    ['modules: { builtins: [lodash-es-of-mine] }', /no module of Node/, 'npm packages stand under packages:'],
    ['modules: { packages: ["../x"] }', /no name of an npm package/, 'write the name alone'],
    ['modules: { packages: ["lodash@4"] }', /no name of an npm package/, 'write the name alone'],
    ['modules: { packages: ["lodash/fp"] }', /no name of an npm package/, 'write the name alone'],
    ['modules: { globals: [x] }', /globals/, undefined],
  ])('%s is refused', async (lines, message, next) => {
    const error = await failure(withSpec(lines));
    expect(error).toMatchObject({ code: 'SANDBOX_INVALID', message: expect.stringMatching(message) });
    if (next !== undefined) expect(JSON.stringify([error.next, error.problems])).toContain(next);
  });

  test('a sandbox is judged to the end whatever its file is called and however it is written', async () => {
    const text = JSON.stringify({
      apiVersion: 'sjs/v1',
      kind: 'Sandbox',
      metadata: { name: 'job' },
      spec: { language: 'node', source: '.', entrypoint: 'index.js', base: { image: 'r.example/node' } },
    });
    const error = await failure(parseSandbox(Buffer.from(text), '/other.json'));
    expect(error).toMatchObject({ code: 'BASE_NOT_PINNED' });
  });

  test('another language is not yet', async () => {
    const text = `${HEAD}${SPEC}`.replace('language: node', 'language: wasm');
    expect(await failure(parse(text))).toMatchObject({ code: 'NOT_YET' });
  });

  test.each(['1.0', 'v1.0.0', '1.0.0+build', '01.0.0', `1.0.0-${'a'.repeat(64)}`])(
    'the version %s is refused',
    async (version) => {
      expect(
        await failure(
          parse(`apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: job, version: "${version}" }\n${SPEC}`),
        ),
      ).toMatchObject({ code: 'SANDBOX_INVALID' });
    },
  );

  test.each(['Job', '-job', 'job-', 'a_b', 'a'.repeat(64), 'a/b', 'a\\nb'])(
    'the name %s is refused',
    async (name) => {
      expect(
        await failure(parse(`apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: "${name}" }\n${SPEC}`)),
      ).toMatchObject({ code: 'SANDBOX_INVALID' });
    },
  );

  test('what is missing is named key by key', async () => {
    const messages = async (text: string) =>
      (await failure(parse(text))).problems.map(({ message }) => message);
    expect(await messages('{}')).toEqual(
      ['apiVersion', 'kind', 'metadata', 'spec'].map((key) => `the file: ${key} is missing`),
    );
    expect(await messages(`${HEAD}spec: {}`)).toEqual(['spec: source is missing']);
  });

  test('problems of the shape and of values come together', async () => {
    const error = await failure(
      withSpec(
        'runtim: runc\nenv: { PATH: /x, "A=B": y, OK: 1 }\nbase: { image: "r.example/x:1" }\nexclude: ["\\u202e"]\nuser: "4000000000:20000"',
      ),
    );
    expect(error.code).toBe('SANDBOX_INVALID');
    expect(error.problems.map(({ location }) => location?.path).sort()).toEqual([
      'spec.base',
      'spec.base.image',
      'spec.env.A=B',
      'spec.env.OK',
      'spec.env.PATH',
      'spec.exclude.0',
      'spec.runtim',
      'spec.user',
    ]);
  });

  test('a misspelt key is not missed a second time', async () => {
    const error = await failure(parse(`${HEAD}${SPEC.replace('entrypoint', 'entrypont')}`));
    expect(error.problems.map(({ next }) => next)).toEqual(['did you mean entrypoint?']);
  });

  test.each(['.', './', 'lib/', 'lib/.'])('the entrypoint %j is a folder', async (entrypoint) => {
    expect(await failure(parse(`${HEAD}${SPEC.replace('index.js', `"${entrypoint}"`)}`))).toMatchObject({
      code: 'SANDBOX_INVALID',
      message: expect.stringContaining('folder'),
    });
  });

  test.each([
    ['unknown keys', Array.from({ length: 5000 }, (_, at) => `k${at}: 1`).join('\n')],
    ['bad names', `env: { ${Array.from({ length: 5000 }, (_, at) => `a-${at}: x`).join(', ')} }`],
    ['bad items', `secrets: [${Array.from({ length: 5000 }, (_, at) => `a-${at}`).join(', ')}]`],
    ['wrong types', `args: [${Array.from({ length: 5000 }, () => '{}').join(', ')}]`],
  ])('of thousands of problems (%s) the first are shown, at once', async (_name, lines) => {
    const started = performance.now();
    const error = await failure(withSpec(lines));
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(error.problems.length).toBeLessThan(70);
    expect(error.message).toBe('/home/u/sandbox.yaml has more than 64 problems');
    expect(error.problems.at(-1)?.message).toMatch(/^and more than \d+ further problems$/);
  });

  test('all problems are reported at once', async () => {
    const error = await failure(withSpec('resources: { memroy: 1, pids: 0 }\nruntime: gvisor\nuser: root'));
    expect(error.code).toBe('SANDBOX_INVALID');
    expect(error.problems.map(({ location }) => location?.path).sort()).toEqual([
      'spec.resources.memroy',
      'spec.resources.pids',
      'spec.runtime',
      'spec.user',
    ]);
    expect(error.message).toBe('/home/u/sandbox.yaml has 4 problems');
  });

  test.each(['', 'just text', '[1, 2]', 'null', '{}', 'apiVersion: sjs/v2\nkind: Pod'])(
    '%j is no sandbox',
    async (text) => {
      expect(await failure(parse(text))).toMatchObject({
        code: 'SANDBOX_INVALID',
        problems: expect.arrayContaining([expect.anything()]),
      });
    },
  );

  test('C16: 100 kB in any field is refused or taken quickly', async () => {
    const long = 'a'.repeat(100_000);
    for (const lines of [
      `entrypoint: ${long}`,
      `user: "${long}"`,
      `args: [${long}]`,
      `exclude: ["${'*'.repeat(50_000)}"]`,
      `base: { image: ${long}, version: "${long}" }`,
      `secrets: [${long}]`,
      `${long}: 1`,
      `resources: { memory: "${long}" }`,
    ]) {
      const started = performance.now();
      const error = await failure(withSpec(lines));
      expect(error.message.length).toBeLessThan(2000);
      expect(performance.now() - started).toBeLessThan(20_000);
    }
  });
});

test.each(['base: { version: ">=24 <25" }', `base: { digest: sha256:${'a'.repeat(64)} }`])(
  'a base without an image, %s, is a problem like any other',
  async (line) => {
    const error = await failure(withSpec(line));
    expect(error).toMatchObject({ code: 'SANDBOX_INVALID', location: { path: 'spec.base' } });
    expect(error.message).toContain('image is missing');
  },
);
