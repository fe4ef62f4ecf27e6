import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { expectGolden } from '../support/golden.js';
import { startSecondEngine, type SecondEngine } from '../support/second-engine.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);

let engine: SecondEngine;
let keys: Awaited<ReturnType<typeof makeCosignKeys>>;
let home: string;
/** Trusts a base that is the same in every year: one file, no packages. */
let policyFile: string;
const tags: string[] = [];

beforeAll(async () => {
  home = await makeFolder();
  policyFile = join(home, 'policy.yaml');
  [engine, keys] = await Promise.all([startSecondEngine({ imageStore: 'containerd' }), makeCosignKeys(1)]);
  await pushTinyImage(world.registry, 'everywhere/source', '24.1.0');
  const target = `${world.registry}/everywhere/base:24.1.0`;
  const words = ['base', 'import', `${world.registry}/everywhere/source:24.1.0`, target];
  await sjs(home, [...words, '--sign-key', keys.keys[0]?.keyFile ?? '', '--trust'], {
    SJS_POLICY: policyFile,
  });
});

afterAll(async () => {
  await Promise.allSettled([engine?.stop(), keys?.remove()]);
  await execute('docker', ['image', 'rm', '-f', ...new Set(tags)]).catch(() => undefined);
});

/** Runs sjs and returns what it printed; throws with its words when it fails. */
async function sjs(
  place: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { code, stdout, stderr } = await runSjs(place, args, { env });
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}

interface Built {
  readonly seal: string;
  readonly tag: string;
  readonly inputs: string;
}

async function build(place: string, sandbox: string, env: Record<string, string> = {}): Promise<Built> {
  const built = JSON.parse(await sjs(place, ['build', sandbox, '--json'], env)) as Built;
  tags.push(built.tag);
  return built;
}

/** The same sandbox at a path of its own. */
const makeSandbox = (): Promise<string> =>
  makeFolder({
    'sandbox.yaml': sandboxYaml(
      'everywhere',
      `  base: { image: ${world.registry}/everywhere/base, version: '^24.1' }\n  env: { GREETING: 'grüß "dich" $HOME' }\n`,
    ),
    'index.js': 'console.log("hello");\n',
    'I/ı.js': '1\n',
    'I/i.js': '2\n',
    'i-Ü/z.js': '3\n',
    'run.sh': '#!/bin/sh\n',
  });

test('the golden seal: the same source over the same base, to the bit, whoever builds it', async () => {
  const sandbox = await makeSandbox();
  await chmod(join(sandbox, 'run.sh'), 0o755);
  const { seal, tag } = await build(home, sandbox, { SJS_POLICY: policyFile });
  const { stdout } = await execute('docker', [
    'image',
    'inspect',
    '--format',
    '{{json .RootFS.Layers}}',
    tag,
  ]);
  expectGolden(
    'seal.json',
    `${JSON.stringify({ seal, tag, layers: JSON.parse(stdout) as unknown }, null, 2)}\n`,
  );
});

describe('an engine that keeps its images in containerd', () => {
  const job =
    'const { setTimeout: sleep } = require("timers"); console.log("up"); sleep(() => {}, Number(process.argv[2] ?? 0));\n';
  let place: string;
  let tag: string;
  let there: Record<string, string>;
  beforeAll(async () => {
    there = { DOCKER_HOST: engine.host };
    place = await makeFolder();
    const spec = `  base: { image: ${world.repository}, version: '>=24 <25' }\n`;
    ({ tag } = await build(
      place,
      await makeFolder({ 'sandbox.yaml': sandboxYaml('containerd', spec), 'index.js': job }),
      there,
    ));
  });

  test('runs, replays, verifies', async () => {
    expect(await sjs(place, ['run', tag], there)).toBe('up\n');
    const [{ id }] = JSON.parse(await sjs(place, ['runs', '--json'], there)) as [{ id: string }];
    expect(await sjs(place, ['replay', id], there)).toMatch(/^reproduced: /m);
    await sjs(place, ['verify', tag], there);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'that is ended by %s in the middle of a run and started again leaves nothing, and the record tells the truth',
    async (signal) => {
      const running = runSjs(place, ['run', tag, '--timeout', '20s', '--json', '--', '15000'], {
        env: there,
      });
      const containers = async (): Promise<string> =>
        (await execute('docker', ['--host', engine.host, 'ps', '-aq'])).stdout.trim();
      for (let tries = 0; (await containers()) === '' && tries < 200; tries += 1);
      await engine.restart(signal);
      const { code } = await running;
      await sjs(place, ['runs'], there);
      expect(await containers()).toBe('');
      const [record] = JSON.parse(await sjs(place, ['runs', '--json'], there)) as [
        { state: string; exitCode: number | null },
      ];
      if (record.state === 'succeeded') expect([code, record.exitCode]).toEqual([0, 0]);
      else
        expect({ failed: code !== 0, state: record.state }).toEqual({
          failed: true,
          state: expect.stringMatching(/^(failed|killed|interrupted)$/) as unknown as string,
        });
    },
  );

  test('gives its sealed image back', async () => {
    await sjs(place, ['rm', tag], there);
    const { stdout } = await execute('docker', ['--host', engine.host, 'image', 'ls', '-q', tag]);
    expect(stdout).toBe('');
  });
});
