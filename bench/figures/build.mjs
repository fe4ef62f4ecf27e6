import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { interleave } from '../measure.mjs';

/** `sjs build` beside `docker build`. */
export async function measure({ addRatio, wall, sjs, world, rounds, sums }) {
  const files = Object.fromEntries(
    Array.from({ length: 50 }, (_, index) => [
      `module-${index}.js`,
      `exports.value = ${index};\n`.repeat(40),
    ]),
  );
  const sandbox = await world.makeSandbox('app', { 'index.js': 'console.log(1);\n', ...files });
  const context = await world.makeContext(sandbox, 'app');
  const LABEL = 'sjs-bench';
  const dockerBuild = ['docker', 'build', '--quiet', '--tag', 'sjs-bench-app', '--label', LABEL, context];
  world.sjs(['build', sandbox]);
  await wall(dockerBuild);
  const unchanged = await interleave(rounds, {
    sjs: () => wall(sjs('build', sandbox)),
    docker: () => wall(dockerBuild),
    cosign: () => wall(world.verifyBase),
    node: () => wall([process.execPath, '-e', '0']),
  });
  const floor = ['`node -e 0` and `cosign verify`', sums(unchanged.node, unchanged.cosign)];
  addRatio(
    'build-unchanged',
    '`sjs build`, nothing changed',
    0.5,
    unchanged.sjs,
    ['`docker build`, everything cached', unchanged.docker],
    floor,
  );
  let line = 0;
  const change = (...path) =>
    writeFileSync(join(...path, 'index.js'), `console.log(${Date.now()}, ${(line += 1)});\n`);
  const changed = await interleave(rounds, {
    sjs: () => {
      change(sandbox, 'src');
      return wall(sjs('build', sandbox));
    },
    docker: () => {
      change(context, 'layer', 'app');
      return wall(dockerBuild);
    },
  });
  addRatio(
    'build-changed',
    '`sjs build`, one line changed',
    0.6,
    changed.sjs,
    ['`docker build`, the same change', changed.docker],
    floor,
  );
  execFileSync('docker', ['image', 'rm', '-f', 'sjs-bench-app'], { stdio: 'ignore' });
  execFileSync('docker', ['image', 'prune', '-f', '--filter', `label=${LABEL}`], { stdio: 'ignore' });
}
