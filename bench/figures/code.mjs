import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { interleave } from '../measure.mjs';

/** `sjs run hello.js`: sealed from nothing but the base, and recognised. */
export async function measure({ addRatio, wall, sjs, world, folder, rounds }) {
  const file = join(folder, 'work', 'hello.js');
  let line = 0;
  const write = () => writeFileSync(file, `console.log("hello", ${(line += 1)});\n`);
  write();
  world.sjs(['run', file]);
  const [{ tag }] = JSON.parse(world.sjs(['images', '--json']));
  const first = await interleave(rounds, {
    sjs: () => {
      write();
      return wall(sjs('run', file));
    },
    docker: () => wall(['docker', 'run', '--rm', tag]),
  });
  addRatio('code-first', '`sjs run hello.js` of code never seen before', 1.9, first.sjs, [
    '`docker run --rm` of a plain image',
    first.docker,
  ]);
  const known = JSON.parse(world.sjs(['images', '--json']))[0].tag;
  const again = await interleave(rounds, {
    sjs: () => wall(sjs('run', file)),
    tag: () => wall(sjs('run', known)),
  });
  addRatio('code-again', 'the same code again', 1.1, again.sjs, ['`sjs run` of its tag', again.tag]);
}
