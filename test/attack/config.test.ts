import { execFileSync } from 'node:child_process';
import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import { load, YAML11_SCHEMA } from 'js-yaml';
import { parseSandbox } from '../../src/stages/load/load-sandbox.js';
import { attack } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const CANARY = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmU';

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});
const images = removeImages();

interface Refusal {
  readonly exit: number;
  readonly code: string;
  readonly text: string;
}

/** How `sjs validate` refuses a file, with a policy of these lines when some are given. */
async function validate(path: string, policy?: string): Promise<Refusal> {
  const env: Record<string, string> = {};
  if (policy !== undefined) {
    env['SJS_POLICY'] = join(await makeFolder(), 'policy.yaml');
    const text = `apiVersion: sjs/v1\nkind: Policy\n${policy}`;
    await writeFile(env['SJS_POLICY'], text, { mode: 0o600 });
  }
  const { code: exit, stdout, stderr } = await runSjs(home, ['validate', path, '--json'], { env });
  const { error } = JSON.parse(stdout) as { error?: { code: string } };
  return { exit, code: error?.code ?? 'accepted', text: stdout + stderr };
}

/** The code with which `sjs validate` refuses the text; no stack is shown. */
async function refuse(text: string, code: string): Promise<string> {
  const refusal = await validate(await makeFolder({ 'sandbox.yaml': text, 'index.js': '' }));
  expect([refusal.exit, refusal.code]).toEqual([2, code]);
  expect(refusal.text).not.toMatch(/RangeError|\n +at /);
  return code;
}

/** The lines under `spec`, each refused with the code. */
async function refuseSpecs(lines: readonly string[], code: string, words = /./): Promise<void> {
  for (const line of lines) {
    const refused = parseSandbox(Buffer.from(sandboxYaml('job', `  ${line}\n`)), '/home/u/sandbox.yaml');
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
  }
  await refuse(sandboxYaml('job', `  ${lines[0]}\n`), code);
}

/** Every list has the one before nine times: nine to the power of nine texts when written out. */
const BOMB = [...'abcdefghi']
  .map(
    (key, at, keys) =>
      `${key}: &${key} [${Array(9)
        .fill(at === 0 ? 'x' : `*${keys[at - 1]}`)
        .join(', ')}]`,
  )
  .join('\n');
attack(
  'C01',
  () => refuse(BOMB, 'YAML_ALIAS'),
  () => {
    const loaded = load(BOMB, { maxAliases: -1 }) as Record<string, unknown>;
    const count = (value: unknown): number =>
      Array.isArray(value) ? value.reduce<number>((sum, one) => sum + count(one), 0) : 1;
    expect(count(loaded['f'])).toBe(9 ** 6);
    return `js-yaml loads it; the sixth list alone has ${9 ** 6} texts`;
  },
);

const WIDE = Array.from({ length: 50 }, (_, at) => `k${at}: 1`).join(', ');
const MERGES = `a: &a { ${WIDE} }\n${Array.from({ length: 1000 }, (_, at) => `t${at}: { <<: *a }`).join('\n')}`;
attack(
  'C02',
  async () => {
    await refuse(MERGES, 'YAML_ALIAS');
    return refuse(`t: { <<: { a: 1 } }`, 'YAML_MERGE');
  },
  () => {
    const unlimited = { schema: YAML11_SCHEMA, maxAliases: -1, maxTotalMergeKeys: -1 };
    const loaded = load(MERGES, unlimited) as Record<string, object>;
    const keys = Object.values(loaded).reduce((sum, one) => sum + Object.keys(one).length, 0);
    expect(keys).toBe(1001 * 50);
    return `js-yaml with merge keys makes ${keys} keys of 20 KB`;
  },
);

type Tree = { [key: string]: unknown };
/** How many merge defaults with what was read. */
function mergeNaively(target: Tree, source: Tree): void {
  for (const key of Object.keys(source)) {
    const value = source[key];
    if (typeof value === 'object' && value !== null) {
      mergeNaively((target[key] ??= {}) as Tree, value as Tree);
    } else target[key] = value;
  }
}
const POLLUTING = [
  '__proto__: { polluted: 1 }',
  'constructor: { prototype: { polluted: 1 } }',
  'x-a: { __proto__: { polluted: 1 } }\n__proto__: 1',
];
attack(
  'C03',
  async () => {
    for (const text of POLLUTING) {
      const refused = parseSandbox(Buffer.from(text), '/home/u/sandbox.yaml');
      await expect(refused).rejects.toMatchObject({ code: 'SANDBOX_INVALID' });
      await refuse(text, 'SANDBOX_INVALID');
    }
    // What extension keys carry is accepted, and still an own property of nothing that sjs uses.
    await parseSandbox(Buffer.from(sandboxYaml('job', `  x-a: { ${POLLUTING[0]} }\n`)), '/s.yaml');
    expect(({} as Tree)['polluted']).toBeUndefined();
    return 'SANDBOX_INVALID; Object.prototype is as before';
  },
  () => {
    try {
      mergeNaively({}, load(POLLUTING[0] ?? '') as Tree);
      expect(({} as Tree)['polluted']).toBe(1);
    } finally {
      delete (Object.prototype as unknown as Tree)['polluted'];
    }
    return 'a merge of what was read into defaults sets {}.polluted';
  },
);

const DEEP = `a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`;
attack(
  'C04',
  () => refuse(DEEP, 'YAML_DEPTH'),
  () => {
    expect(() => load(DEEP, { maxDepth: 100_000 })).toThrow(/Maximum call stack size exceeded/);
    return 'js-yaml runs out of stack: a RangeError';
  },
);

attack(
  'C07',
  async () => {
    for (const tag of [
      '!!js/function "x"',
      '!!python/object/apply:os.system ["id"]',
      '!!binary aGk=',
      '!own x',
    ]) {
      await expect(parseSandbox(Buffer.from(`a: ${tag}`), '/s.yaml')).rejects.toMatchObject({
        code: 'YAML_TAG',
      });
    }
    return refuse('a: !!binary aGk=', 'YAML_TAG');
  },
  () => {
    const { a } = load('a: !!binary aGk=', { schema: YAML11_SCHEMA }) as { a: unknown };
    expect(Buffer.from(a as Uint8Array).toString()).toBe('hi');
    return 'js-yaml with the types of YAML 1.1 makes an object of the tagged text';
  },
);

/** A folder whose sandbox.yaml is a link to a private key. */
async function makeKeyLink(): Promise<string> {
  const key = join(await makeFolder({ id_rsa: `-----BEGIN KEY-----\n${CANARY}\n` }), 'id_rsa');
  const folder = await makeFolder();
  await symlink(key, join(folder, 'sandbox.yaml'));
  return folder;
}
attack(
  'C09',
  async () => {
    const [pipe, folder, large] = [
      await makeFolder(),
      await makeFolder(),
      await makeFolder({ 'sandbox.yaml': '' }),
    ];
    execFileSync('mkfifo', [join(pipe, 'sandbox.yaml')]);
    await mkdir(join(folder, 'sandbox.yaml'));
    await truncate(join(large, 'sandbox.yaml'), 1024 ** 3);
    const key = join(await makeFolder({ id_rsa: `-----BEGIN KEY-----\n${CANARY}\n` }), 'id_rsa');
    const cases: [string, string][] = [
      [pipe, 'FILE_UNREADABLE'],
      ['/dev/zero', 'FILE_UNREADABLE'],
      [folder, 'FILE_UNREADABLE'],
      [large, 'FILE_TOO_LARGE'],
      [await makeKeyLink(), 'FILE_UNREADABLE'],
      [key, 'SANDBOX_INVALID'],
    ];
    for (const [path, code] of cases) {
      const refusal = await validate(path);
      expect({ path, ...refusal }).toMatchObject({ exit: 2, code });
      expect(refusal.text).not.toContain(CANARY.slice(0, 8));
    }
    return 'FILE_UNREADABLE, FILE_TOO_LARGE; nothing of a key is shown';
  },
  async () => {
    expect(await readFile(join(await makeKeyLink(), 'sandbox.yaml'), 'utf8')).toContain(CANARY);
    const pipe = join(await makeFolder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(() => execFileSync('cat', [pipe], { timeout: 1_000 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT' }),
    );
    return 'a plain read follows the link to the key, and hangs at the pipe';
  },
);

function buildPlainly(dockerfile: string, ...flags: string[]): string {
  const image = docker(['build', '-q', ...flags, '-'], { input: dockerfile });
  images.add(image);
  return image;
}

attack(
  'C11',
  async () => {
    const numbers = ['-1', '0', '.nan', '1e309', '9007199254740993'];
    await refuseSpecs(
      numbers.map((number) => `resources: { pids: ${number} }`),
      'SANDBOX_INVALID',
      /pids/,
    );
    await refuseSpecs(
      ['resources: { memory: 0 }', 'resources: { memory: 999Ti }'],
      'SANDBOX_INVALID',
      /memory/,
    );
    return 'SANDBOX_INVALID for each';
  },
  () => {
    const image = buildPlainly('FROM scratch\nLABEL attack=limits\n');
    const container = docker(['create', '--pids-limit', '-1', '--memory', '0', image, 'x']);
    try {
      const format = '{{json .HostConfig.PidsLimit}} {{json .HostConfig.Memory}}';
      expect(docker(['inspect', '--format', format, container])).toMatch(/^(?:-1|0|null) 0$/);
    } finally {
      docker(['rm', container]);
    }
    return 'docker takes both, and they mean no limit';
  },
);

attack(
  'C12',
  async () => {
    for (const entrypoint of ['../../etc/passwd', '/proc/self/fd/7/x']) {
      const text = sandboxYaml('job').replace('entrypoint: index.js', `entrypoint: ${entrypoint}`);
      await refuse(text, 'SANDBOX_INVALID');
    }
    await refuseSpecs(['workdir: /proc/self/fd/8'], 'SANDBOX_INVALID', /workdir/);
    return 'SANDBOX_INVALID for each';
  },
  () => {
    const text = `FROM ${world.reference}\nWORKDIR /proc/self/fd/8\nENTRYPOINT ["node", "../../../../etc/passwd"]\n`;
    const image = buildPlainly(text);
    const format = '{{.Config.WorkingDir}} {{json .Config.Entrypoint}}';
    expect(docker(['image', 'inspect', '--format', format, image])).toBe(
      '/proc/self/fd/8 ["node","../../../../etc/passwd"]',
    );
    return 'docker builds an image with both';
  },
);

const INTERPOLATED = '${AWS_SECRET_ACCESS_KEY}';
const HOST = { AWS_SECRET_ACCESS_KEY: CANARY };
attack(
  'C14',
  async () => {
    const values = { A: INTERPOLATED, B: '$(cat ~/.ssh/id_rsa)' };
    const spec = `  env: ${JSON.stringify(values)}\n`;
    const code = 'console.log(JSON.stringify({ A: process.env.A, B: process.env.B }))';
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('interpolated', spec), 'index.js': code });
    const built = await runSjs(home, ['build', folder], { env: HOST });
    const tag = built.stdout.trim();
    images.add(tag);
    const run = await runSjs(home, ['run', tag], { env: HOST });
    expect(JSON.parse(run.stdout)).toEqual(values);
    const image = docker(['image', 'inspect', tag]) + docker(['history', '--no-trunc', tag]);
    expect(image + built.stdout + built.stderr).not.toContain(CANARY);
    return 'the program gets the text as it stands';
  },
  () => {
    const text = `FROM scratch\nARG AWS_SECRET_ACCESS_KEY\nENV A="${INTERPOLATED}"\n`;
    const image = buildPlainly(text, '--build-arg', `AWS_SECRET_ACCESS_KEY=${CANARY}`);
    expect(docker(['image', 'inspect', image])).toContain(`A=${CANARY}`);
    return 'docker build seals the host’s value';
  },
);

const GREEDY = sandboxYaml('job', '  resources: { memory: 512Mi }\n');
const source = (text: string): Promise<string> => makeFolder({ 'sandbox.yaml': text, 'index.js': '' });
attack(
  'C19',
  async () => {
    const strict = await validate(await source(GREEDY), 'limits: { memory: 64Mi }\n');
    expect([strict.exit, strict.code]).toEqual([4, 'POLICY_VIOLATION']);
    const lines = [
      'seccomp: unconfined',
      'privileged: true',
      'network: host',
      'network: { mode: "container:x" }',
    ];
    await refuseSpecs(lines, 'SANDBOX_INVALID');
    const forced = await runSjs(home, ['validate', await source(GREEDY), '--force']);
    expect(forced.code).toBe(2);
    return 'POLICY_VIOLATION, SANDBOX_INVALID; there is no --force';
  },
  async () => {
    const loose = await validate(await source(GREEDY), 'limits: { memory: 1Gi }\n');
    expect([loose.exit, loose.code]).toEqual([0, 'accepted']);
    return 'with a policy that allows it, the same file is accepted';
  },
);
