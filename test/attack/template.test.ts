import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { beforeAll, expect } from '@jest/globals';
import { attack } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
let home: string;
beforeAll(async () => {
  home = await makeFolder();
});
const images = removeImages();

const labelsOf = (image: string): Record<string, string> =>
  JSON.parse(docker(['image', 'inspect', '--format', '{{json .Config.Labels}}', image])) as Record<
    string,
    string
  >;

/** The Dockerfile that `sjs plan` shows for lines under `spec`, or the code of its refusal. */
async function plan(spec: string): Promise<{ dockerfile: string; code: string }> {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('templated', spec), 'index.js': '1' });
  const { stdout } = await runSjs(home, ['plan', folder, '--json']);
  const answer = JSON.parse(stdout) as { dockerfile?: string; error?: { code: string } };
  return { dockerfile: answer.dockerfile ?? '', code: answer.error?.code ?? 'accepted' };
}
const instructionsOf = (dockerfile: string): string[] =>
  dockerfile.split('\n').flatMap((line) => /^[A-Z]+/.exec(line) ?? []);

/** What a template does that puts values in as they are; built by docker. */
function buildNaively(value: string, before = ''): string {
  const image = docker(['build', '-q', '-'], {
    input: `${before}FROM scratch\nENV X=${value}\nLABEL kept=yes\n`,
  });
  images.add(image);
  return image;
}

attack(
  'T01',
  async () => {
    for (const value of ['x\\nLABEL broken.out=yes', 'x\\rLABEL y=1', 'x\\u0085y', 'x\\u2028y']) {
      for (const spec of [`env: { X: "${value}" }`, `args: ["${value}"]`, `command: [node, "${value}"]`]) {
        const { code } = await plan(`  ${spec}\n`);
        expect({ spec, code }).toEqual({
          spec,
          code: expect.stringMatching(/^(SANDBOX_INVALID|YAML_SYNTAX)$/),
        });
      }
    }
    return 'SANDBOX_INVALID in env, args and command';
  },
  () => {
    expect(labelsOf(buildNaively('x\nLABEL broken.out=yes'))).toMatchObject({ 'broken.out': 'yes' });
    return 'put in as it is, the value brings an instruction of its own';
  },
);

attack(
  'T02',
  async () => {
    const { dockerfile, code } = await plan(
      '  env: { X: "# syntax=evil.example.com/frontend" }\n  args: ["# escape=`"]\n',
    );
    expect(code).toBe('accepted');
    const [first] = dockerfile.split('\n');
    expect(first).toBe(readFileSync('templates/node.Dockerfile', 'utf8').split('\n')[0]);
    expect(dockerfile.split('\n').filter((line) => /^#\s*\w+\s*=/.test(line))).toEqual([]);
    return 'line 1 is the template’s own; no directive';
  },
  () => {
    const frontend = `127.0.0.1:9/evil/frontend`;
    expect(() => buildNaively('x', `# syntax=${frontend}\n`)).toThrow(/127\.0\.0\.1:9/);
    return 'on line 1 of a Dockerfile, the builder goes for the frontend';
  },
);

attack(
  'T03',
  async () => {
    const plain = instructionsOf((await plan('  env: { X: x }\n  args: [x]\n')).dockerfile);
    for (const value of ['x\\', 'x`']) {
      const text = JSON.stringify(value);
      const folder = await makeFolder({
        'sandbox.yaml': sandboxYaml('templated', `  env: { X: ${text} }\n  args: [${text}]\n`),
        'index.js': 'console.log(process.env.X, process.argv[2])',
      });
      const { dockerfile } = await plan(`  env: { X: ${text} }\n  args: [${text}]\n`);
      expect(instructionsOf(dockerfile)).toEqual(plain);
      const tag = (await runSjs(home, ['build', folder])).stdout.trim();
      images.add(tag);
      expect((await runSjs(home, ['run', tag])).stdout).toBe(`${value} ${value}\n`);
    }
    return 'every instruction is there, and the program gets the values';
  },
  () => {
    const labels = labelsOf(buildNaively('x\\')) as Record<string, string> | null;
    expect(labels?.['kept']).toBeUndefined();
    return 'put in as it is, the backslash swallows the next instruction';
  },
);

attack(
  'T06',
  async () => {
    for (const line of ['buildArgs: { BUILDKIT_SYNTAX: evil/fe }', 'build: { args: { http_proxy: x } }']) {
      expect(await plan(`  ${line}\n`)).toMatchObject({ code: 'SANDBOX_INVALID' });
    }
    const environment = { BUILDKIT_SYNTAX: '127.0.0.1:9/evil/fe', SOURCE_DATE_EPOCH: '7', NO_SUCH: 'x' };
    const folder = await makeFolder({
      'sandbox.yaml': sandboxYaml('args', '  args: [one]\n'),
      'index.js': '1',
    });
    const built = await runSjs(home, ['build', folder], { env: environment });
    expect(built).toMatchObject({ code: 0 });
    images.add(built.stdout.trim());
    const created = docker(['image', 'inspect', '--format', '{{.Created}}', built.stdout.trim()]);
    expect(created).toBe('1970-01-01T00:00:00Z');
    return 'SANDBOX_INVALID; sjs’s own build argument is the only one';
  },
  () => {
    const flags = ['--build-arg', 'BUILDKIT_SYNTAX=127.0.0.1:9/evil/fe'];
    expect(() =>
      docker(['build', '-q', ...flags, '-'], { input: `FROM ${world.reference}\nLABEL x=y\n` }),
    ).toThrow(/127\.0\.0\.1:9/);
    return 'docker build goes for the frontend that the argument names';
  },
);

const ROOTS = ['0', 'root', '00', 'node:0', '65532:root', '0:0', '65532:0', '1000:1000', '4294967296:65532'];
const WHO = `console.log(process.getuid() + ':' + process.getgid())`;
/** What a program is that docker builds over the base with lines of its own. */
function runPlainly(instructions: string): string {
  const text = `FROM ${world.reference}\n${instructions}ENTRYPOINT ["node", "-e", ${JSON.stringify(WHO)}]\n`;
  const image = docker(['build', '-q', '-'], { input: text });
  images.add(image);
  return docker(['run', '--rm', image]);
}
attack(
  'T08',
  async () => {
    for (const user of ROOTS) {
      expect({ user, ...(await plan(`  user: "${user}"\n`)) }).toMatchObject({
        user,
        code: 'SANDBOX_INVALID',
      });
    }
    expect(await plan('  user: 0\n')).toMatchObject({ code: 'SANDBOX_INVALID' });
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('nobody'), 'index.js': WHO });
    const tag = (await runSjs(home, ['build', folder])).stdout.trim();
    images.add(tag);
    expect(docker(['image', 'inspect', '--format', '{{.Config.User}}', tag])).toBe('65532:65532');
    expect((await runSjs(home, ['run', tag])).stdout).toBe('65532:65532\n');
    return 'SANDBOX_INVALID; a sandbox that names nobody is 65532:65532';
  },
  () => {
    for (const user of ['0', 'root', '00']) expect(runPlainly(`USER ${user}\n`)).toBe('0:0');
    expect(runPlainly('USER 65532:root\n')).toBe('65532:0');
    expect(runPlainly('')).toBe('0:0');
    return 'docker build takes each of them, and whoever names nobody is root';
  },
);

const EXPRESSIONS = [
  "{{constructor.constructor('return process')().exit()}}",
  '<%= 7*7 %>',
  '${7*7}',
  '{{user}} {{labels}} {{cmd}}',
  "$& $1 $$ $` $'",
];
/** The template filled one place after the other, as text is replaced; what stands behind ENV. */
function fillNaively(x: string): string {
  const values = { env: `X="${x}"`, user: '65532:65532', cmd: '[]' };
  const filled = Object.entries(values).reduce(
    (text, [place, value]) => text.replace(`{{${place}}}`, value),
    readFileSync('templates/node.Dockerfile', 'utf8'),
  );
  return /^ENV X="(.*)"$/m.exec(filled)?.[1] ?? '';
}
attack(
  'T09',
  async () => {
    const list = JSON.stringify(EXPRESSIONS);
    const spec = `  env: { X: ${JSON.stringify(EXPRESSIONS.join('|'))} }\n  args: ${list}\n`;
    const code = `console.log(JSON.stringify([process.env.X, process.argv.slice(2)]))`;
    const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('literal', spec), 'index.js': code });
    const tag = (await runSjs(home, ['build', folder])).stdout.trim();
    images.add(tag);
    const { stdout } = await runSjs(home, ['run', tag]);
    expect(JSON.parse(stdout)).toEqual([EXPRESSIONS.join('|'), EXPRESSIONS]);
    for (const value of EXPRESSIONS) {
      const named = await makeFolder({ 'sandbox.yaml': sandboxYaml(JSON.stringify(value)) });
      const refused = await runSjs(home, ['plan', named, '--json']);
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'SANDBOX_INVALID' } });
    }
    return 'the program gets each of them as it was written; in a name SANDBOX_INVALID';
  },
  () => {
    expect(fillNaively('{{user}}')).toBe('65532:65532');
    expect(fillNaively('$&')).toBe('{{env}}');
    expect(runInNewContext(`\`${EXPRESSIONS[2]}\``)).toBe('49');
    return 'filled place by place a value brings other values; evaluated, 7*7 is 49';
  },
);
