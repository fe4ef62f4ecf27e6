import { execFileSync } from 'node:child_process';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { interleave, median, round, time } from '../measure.mjs';

/** `sjs build` of an application with some 150 npm packages beside `npm ci` and `docker build` of the same. */
export async function measure({ add, addRatio, wall, sjs, world, folder }) {
  const work = join(folder, 'work');
  const sandbox = join(work, 'packages-app');
  const context = join(work, 'packages-context');
  const cache = join(work, 'npm-cache');
  await cp(resolve('examples/express-api'), sandbox, { recursive: true });
  world.sjs(['lock', sandbox]);
  const { dockerfile, dependencies } = JSON.parse(world.sjs(['plan', sandbox, '--json']));
  const installed = join(context, 'packages', 'app');
  const source = join(context, 'layer', 'app');
  for (const place of [installed, source]) await mkdir(place, { recursive: true });
  for (const name of ['package.json', 'package-lock.json'])
    await cp(join(sandbox, name), join(installed, name));
  for (const name of ['app.js', 'index.js']) await cp(join(sandbox, name), join(source, name));
  await writeFile(join(context, 'Dockerfile'), dockerfile);

  let line = 0;
  const change = (place) =>
    writeFile(join(place, 'extra.js'), `exports.value = ${Date.now()} + ${(line += 1)};\n`);
  const npm = ['npm', 'ci', '--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund', '--cache', cache];
  const docker = [
    'docker',
    'build',
    '--quiet',
    '--tag',
    'sjs-bench-packages',
    '--label',
    'sjs-bench',
    context,
  ];
  const build = async () => {
    await change(sandbox);
    return wall(sjs('build', sandbox));
  };
  const install = async (...flags) => {
    await change(source);
    return (await wall([...npm, ...flags], { cwd: installed })) + (await wall(docker));
  };
  await build();
  await install();
  const warm = await interleave(7, { sjs: build, npm: () => install('--offline') });
  const what = `\`sjs build\` with ${dependencies.packages} npm packages`;
  addRatio('dependencies-warm', `${what}, all in the cache`, 0.5, warm.sjs, [
    '`npm ci --ignore-scripts --offline` and `docker build`',
    warm.npm,
  ]);
  /** A home that knows nothing: not the packages, not the layer of them, not the base. */
  const buildEmpty = async () => {
    await change(sandbox);
    const env = { ...world.env, SJS_HOME: join(work, 'empty') };
    const taken = await time(sjs('build', sandbox), { env, withMemory: true });
    for (const { tag } of JSON.parse(world.sjs(['images', '--json'], { env })))
      world.sjs(['rm', tag], { env });
    await rm(env.SJS_HOME, { recursive: true, force: true });
    return taken;
  };
  const peaks = [];
  const empty = await interleave(5, {
    sjs: async () => {
      const { wallMs, peakMiB } = await buildEmpty();
      peaks.push(peakMiB);
      return wallMs;
    },
    npm: async () => {
      await rm(cache, { recursive: true, force: true });
      return install();
    },
  });
  addRatio('dependencies-empty', `${what}, nothing in the cache`, 1, empty.sjs, [
    '`npm ci --ignore-scripts` and `docker build`',
    empty.npm,
  ]);
  add(
    'dependencies-memory',
    `${what}, nothing in the cache: peak memory`,
    { atMost: 250 },
    { value: round(median(peaks)), unit: 'MiB' },
  );
  execFileSync('docker', ['image', 'rm', '-f', 'sjs-bench-packages'], { stdio: 'ignore' });
  execFileSync('docker', ['image', 'prune', '-f', '--filter', 'label=sjs-bench'], { stdio: 'ignore' });
}
