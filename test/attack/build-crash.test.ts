import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import { createDockerClient, type DockerClient } from '../../src/adapters/docker/client.js';
import { BUILDING } from '../../src/model/building-tag.js';
import { sha256, shortDigest } from '../../src/model/digest.js';
import { attack } from '../support/attack.js';
import { docker, removeImages } from '../support/docker.js';
import { proxyEngine } from '../support/engine-proxy.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const images = removeImages();

/** What a build asks of the engine once the base is there, in its order: the image, a look at it, its tag, its other tag's end. */
const POINTS = {
  build: /^POST \/build\?/,
  look: /^GET \/images\/sha256(?::|%3A)[0-9a-f]{64}\/json/i,
  tag: /^POST \/images\/\S+\/tag\?/,
  'removal of the other tag': /^DELETE \/images\/sjs(?:\/|%2F)building/i,
} as const;
type Point = keyof typeof POINTS;

let client: DockerClient;
let home: string;
beforeAll(async () => {
  client = await createDockerClient({ env: process.env, home: homedir() });
  home = await makeFolder();
});

const lines = (text: string): string[] => text.split('\n').filter(Boolean);

/** What of builds in this home the engine has: images that are sealed have another tag. */
const remains = (): string[] => {
  const ours = `${BUILDING}:${shortDigest(sha256(join(home, 'sjs')))}.`;
  return lines(docker(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', BUILDING])).filter((tag) =>
    tag.startsWith(ours),
  );
};
const listTags = async (): Promise<string[]> => {
  const listed = await runSjs(home, ['images', '--json']);
  expect(listed).toMatchObject({ code: 0 });
  return (JSON.parse(listed.stdout) as { tag: string }[]).map(({ tag }) => tag);
};

let count = 0;
/** Ends a build when the engine has done what it was asked at that point and has not said so; what is left, and of what. */
async function endAt(point: Point, signal: NodeJS.Signals) {
  const name = `cut-${process.pid}-${(count += 1)}`;
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml(name),
    'index.js': `console.log('${name}')`,
  });
  const proxy = await proxyEngine(client, POINTS[point], 'hold the answer');
  try {
    const child = spawn(process.execPath, [resolve('dist/cli/main.cjs'), 'build', folder], {
      env: {
        ...{ PATH: process.env['PATH'] ?? '', HOME: home, SJS_HOME: join(home, 'sjs') },
        ...{ SJS_POLICY: world.policyFile, DOCKER_HOST: proxy.host },
      },
      cwd: home,
      stdio: 'ignore',
    });
    const exited = once(child, 'exit');
    await Promise.race([proxy.met, exited.then(() => Promise.reject(new Error(`${point} was not met`)))]);
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return { point, name, folder, code, left: remains() };
  } finally {
    proxy.close();
  }
}

/** The next build of the same is whole, runs, and leaves nothing of the one that was cut short. */
async function expectWhole({ point, name, folder }: Awaited<ReturnType<typeof endAt>>): Promise<void> {
  const built = await runSjs(home, ['build', folder]);
  images.add(built.stdout.trim());
  expect({ point, code: built.code, said: built.code === 0 ? '' : built.stderr }).toEqual({
    point,
    code: 0,
    said: '',
  });
  // An engine that was told to stop may still be at it.
  await until('nothing is left half built', async () => {
    expect(await runSjs(home, ['prune'])).toMatchObject({ code: 0 });
    return remains().length === 0;
  });
  expect(await runSjs(home, ['run', built.stdout.trim()])).toMatchObject({ code: 0, stdout: `${name}\n` });
}

attack(
  'D14',
  async () => {
    const interrupted = await endAt('look', 'SIGINT');
    expect(interrupted).toMatchObject({ code: 130, left: [] });
    await expectWhole(interrupted);
    await expectWhole(await endAt('build', 'SIGKILL'));
    return 'after SIGINT nothing is left, after SIGKILL nothing after the next command; the same build then goes through';
  },
  async () => {
    const killed = await endAt('look', 'SIGKILL');
    expect(killed.left).toHaveLength(1);
    await expectWhole(killed);
    return 'until the next command the image of a build that was killed is there, under a tag of its own';
  },
);

attack(
  'S09',
  async () => {
    for (const point of ['look', 'tag', 'removal of the other tag'] as const) {
      const killed = await endAt(point, 'SIGKILL');
      // What the index has can be run, or is said not to be there: the index is first, the tag last.
      const sealed = (await listTags()).filter((tag) => tag.includes(`/${killed.name}:`));
      expect([point, sealed.length]).toEqual([point, point === 'look' ? 0 : 1]);
      for (const tag of sealed) {
        images.add(tag);
        expect(await runSjs(home, ['run', tag])).toMatchObject({ code: 0, stdout: `${killed.name}\n` });
      }
      await expectWhole(killed);
    }
    return 'not in the index before its image is whole; from then on it runs, and the next build goes through';
  },
  async () => {
    const killed = await endAt('tag', 'SIGKILL');
    expect(killed.left).toHaveLength(1);
    await expectWhole(killed);
    return 'until then the image has the tag of a build, too';
  },
);
