import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../../src/model/digest.js';
import { DEFAULT_RESOURCES, type Sandbox } from '../../../../src/model/sandbox.js';
import type { VerifiedBase } from '../../../../src/model/base.js';
import { fillTemplate } from '../../../../src/stages/render/fill-template.js';
import { renderDockerfile } from '../../../../src/stages/render/render-dockerfile.js';
import { makeBase, makeSandbox } from '../../../support/sandbox.js';

const template = readFileSync('templates/node.Dockerfile', 'utf8');

const render = (sandbox: Partial<Sandbox> = {}, base: Partial<VerifiedBase> = {}) =>
  renderDockerfile(template, makeSandbox(sandbox), makeBase(base), DEFAULT_RESOURCES, sha256('profile'));

const instructions = (dockerfile: string): string[] =>
  dockerfile
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' ')[0] ?? '');

const PLAIN = [
  'FROM',
  'COPY',
  'ENV',
  'LABEL',
  'LABEL',
  'LABEL',
  'LABEL',
  'LABEL',
  'LABEL',
  'USER',
  'WORKDIR',
  'STOPSIGNAL',
  'HEALTHCHECK',
  'ENTRYPOINT',
  'CMD',
];

describe('the Dockerfile', () => {
  test('names the base by the digest that was verified, and begins with a constant', () => {
    const { dockerfile } = render();
    expect(dockerfile.split('\n')[0]).toBe(
      '# Rendered by sjs. The base is named by the digest that was verified.',
    );
    expect(dockerfile).toContain(`FROM registry.example.com/base/node@${sha256('manifest')}\n`);
    expect(instructions(dockerfile)).toEqual(PLAIN);
  });

  test('T12: is the same for the same sandbox, whatever the order of its keys', () => {
    expect(render({ env: { A: '1', B: '2' } }).dockerfile).toBe(
      render({ env: { A: '1', B: '2' } }).dockerfile,
    );
  });

  test('gives Node its permission model, the heap limit, and the preload only with secrets', () => {
    expect(render().expectedConfig.Entrypoint).toEqual([
      'node',
      '--permission',
      '--allow-fs-read=*',
      '--allow-fs-write=/tmp',
      '--max-old-space-size=256',
      '--',
      '/app/index.js',
    ]);
    const rich = render({
      secrets: ['TOKEN'],
      permissions: { childProcess: true, worker: true, addons: true, wasi: true },
      filesystem: { tmpBytes: 1, outBytes: 1 },
    });
    expect(rich.expectedConfig.Entrypoint).toEqual(
      expect.arrayContaining([
        '--allow-child-process',
        '--allow-worker',
        '--allow-addons',
        '--allow-wasi',
        '--allow-fs-write=/out',
        '--require=/.sjs/secrets-preload.cjs',
      ]),
    );
    expect(rich).toMatchObject({ needsSecretsPreload: true, needsOut: true });
  });

  test('an older Node gets the flag it knows; one without a permission model is refused', () => {
    expect(render({}, { signedVersion: '22.1.0' }).expectedConfig.Entrypoint).toContain(
      '--experimental-permission',
    );
    expect(() => render({}, { signedVersion: '18.0.0' })).toThrow(
      expect.objectContaining({ code: 'BASE_CONFIG_REFUSED' }),
    );
  });

  test('what Node says about granted permissions is silenced where Node can, and only for those', () => {
    const permissions = { childProcess: true, worker: false, addons: false, wasi: false };
    const silenced = (signedVersion: string): readonly string[] =>
      (render({ permissions }, { signedVersion }).expectedConfig.Entrypoint ?? []).filter((word) =>
        word.startsWith('--disable-warning'),
      );
    expect(silenced('24.1.0')).toEqual(['--disable-warning=PERM0002']);
    expect(silenced('20.11.0')).toEqual(['--disable-warning=PERM0002']);
    expect(silenced('20.10.0')).toEqual([]);
    expect(silenced('21.2.0')).toEqual([]);
  });

  test('Node by its path is Node all the same', () => {
    const command = render({ command: ['/usr/local/bin/node', 'x.js'] }).expectedConfig.Entrypoint;
    expect(command).toEqual(expect.arrayContaining(['/usr/local/bin/node', '--permission', 'x.js']));
  });

  test('keeps Node to a list behind the other preloads, where Node can be kept', () => {
    const modules = { builtins: [], packages: [] };
    const entrypoint = (signedVersion: string): readonly string[] =>
      render({ modules, secrets: ['T'] }, { signedVersion }).expectedConfig.Entrypoint ?? [];
    for (const version of ['22.15.0', '23.5.0', '24.21.0', '26.0.0']) {
      const preloads = entrypoint(version).filter((word) => word.startsWith('--require'));
      expect(preloads).toEqual(['--require=/.sjs/secrets-preload.cjs', '--require=/.sjs/modules.cjs']);
    }
    for (const version of ['20.19.0', '22.14.0', '23.4.0']) {
      expect(() => entrypoint(version)).toThrow(expect.objectContaining({ code: 'BASE_CONFIG_REFUSED' }));
    }
    expect(() => render({ modules, command: ['/bin/tool'] })).toThrow(
      expect.objectContaining({ code: 'SANDBOX_INVALID', message: expect.stringContaining('modules need') }),
    );
  });

  test('another command runs as it is, and has no secrets', () => {
    expect(render({ command: ['/bin/tool', 'x'] }).expectedConfig.Entrypoint).toEqual(['/bin/tool', 'x']);
    expect(() => render({ command: ['/bin/tool'], secrets: ['T'] })).toThrow(
      expect.objectContaining({ code: 'SANDBOX_INVALID' }),
    );
  });

  test('empties what the base sets to steer the loader, and replaces its health check and stop signal', () => {
    const { dockerfile, expectedConfig } = render(
      {},
      {
        config: {
          Env: ['PATH=/bin', 'LD_PRELOAD=/evil.so', 'NODE_OPTIONS=--require /evil.js', 'LANG=C'],
          StopSignal: 'SIGUSR1',
          Healthcheck: { Test: ['CMD', 'x'] },
          ExposedPorts: { '80/tcp': {} },
        },
      },
    );
    expect(dockerfile).toContain('ENV LD_PRELOAD=""\nENV NODE_OPTIONS=""\n');
    expect(expectedConfig).toMatchObject({ StopSignal: 'SIGTERM', Healthcheck: { Test: ['NONE'] } });
    expect(expectedConfig.Env).toEqual(['PATH=/bin', 'LD_PRELOAD=', 'NODE_OPTIONS=', 'LANG=C', 'HOME=/tmp']);
  });
});

describe('nothing breaks out of its place', () => {
  test.each([
    ['T03 a backslash at the end', 'x\\'],
    ['T03 a backtick at the end', 'x`'],
    ['T04 expansion', '${PATH} $(id) ${X:-y} \\$ "quotes" \'single\''],
    [
      'T09 template syntax',
      "{{constructor.constructor('return process')().exit()}} <%= %> ${7*7} {{base}} {{env}}",
    ],
    ['T02 directives', '# syntax=evil/frontend'],
    ['an instruction', 'x" RUN touch /pwned "'],
  ])('%s', (_name, value) => {
    const { dockerfile } = render({ env: { X: value }, args: [value], name: 'job' });
    expect(instructions(dockerfile)).toEqual([...PLAIN.slice(0, 3), 'ENV', ...PLAIN.slice(3)]);
    expect(dockerfile.split('\n').filter((line) => line.endsWith('\\') || line.endsWith('`'))).toEqual([]);
    const word = /^ENV X="(.*)"$/m.exec(dockerfile)?.[1] ?? '';
    expect(word.replace(/\\([\\"$])/g, '$1')).toBe(value);
    expect(word.replace(/\\[\\"$]/g, '')).not.toMatch(/[\\"$]/);
  });

  test.each(['x\nRUN touch /pwned', 'x\rRUN y', 'x\u0085y', 'x\u2028y', 'x\u0000', '\u202eabc'])(
    'T01: %j is refused',
    (value) => {
      for (const sandbox of [{ env: { X: value } }, { args: [value] }, { command: ['node', value] }]) {
        expect(() => render(sandbox)).toThrow(
          expect.objectContaining({ code: 'TEMPLATE_VALUE', message: expect.stringContaining('\\u') }),
        );
      }
    },
  );

  test.each<[string, Partial<Sandbox>]>([
    ['one argument', { args: ['x'.repeat(60_001)] }],
    ['many arguments', { args: Array.from({ length: 8 }, () => 'x'.repeat(8000)) }],
    ['a value of wide characters', { env: { X: '😀'.repeat(16_000) } }],
    ['a value that grows when it is quoted', { env: { X: '$'.repeat(31_000) } }],
  ])('%s longer than the line that the builder takes is refused', (_name, sandbox) => {
    expect(() => render(sandbox)).toThrow(expect.objectContaining({ code: 'TEMPLATE_VALUE' }));
  });

  test.each([
    'RUN id',
    'ADD http://x /',
    'FROM {{base}} AS x\nRUN y',
    'COPY --from=x / /',
    'COPY . /',
    'VOLUME /data',
    'ONBUILD RUN x',
    'SHELL ["x"]',
    'HEALTHCHECK CMD x',
    'EXPOSE 80',
    'RUN --mount=type=ssh x',
    '# syntax=evil/frontend',
    '# escape=`',
    '# check=skip=all',
    'ENV A="x" \\',
  ])('T07: a template with %j is refused', (line) => {
    expect(() => fillTemplate(line, { base: 'x' })).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_INVALID' }),
    );
  });

  test('a place that nothing fills is refused', () => {
    expect(() => fillTemplate('USER {{nobody}}', {})).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_INVALID' }),
    );
  });
});
