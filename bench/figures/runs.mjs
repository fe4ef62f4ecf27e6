import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { interleave, median, round } from '../measure.mjs';

/** The list of very many runs. */
export async function measure({ add, wall, sjs, world, folder, rounds }) {
  const home = join(folder, 'work', 'many-runs');
  const sandbox = await world.makeSandbox('one', { 'index.js': 'console.log(1);\n' });
  world.sjs(['run', JSON.parse(world.sjs(['build', sandbox, '--json'])).tag]);
  execFileSync(process.execPath, ['bench/make-records.mjs', world.env.SJS_HOME, home, '100000'], {
    stdio: 'inherit',
  });
  const listEnv = { ...world.env, SJS_HOME: home };
  const results = await interleave(rounds, {
    sjs: () => wall(sjs('runs'), { env: listEnv }),
    node: () => wall([process.execPath, '-e', '0']),
  });
  add(
    'runs',
    '`sjs runs` over 100,000 records',
    { atMost: 200 },
    {
      value: round(median(results.sjs)),
      unit: 'ms',
      sjsMs: round(median(results.sjs)),
      rival: '`node -e 0`',
      rivalMs: round(median(results.node)),
      rounds,
      samples: { sjs: results.sjs.map((ms) => round(ms)) },
    },
  );
}
