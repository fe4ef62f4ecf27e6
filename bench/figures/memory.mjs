import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { round, time } from '../measure.mjs';

/** What a large source costs. */
export async function measure({ add, sjs, world }) {
  const sandbox = await world.makeSandbox('big', {
    'index.js': 'console.log(1);\n',
    'data.bin': Buffer.alloc(100_000_000, 'sjs'),
  });
  const peaks = [];
  for (let time_ = 0; time_ < 3; time_ += 1) {
    writeFileSync(join(sandbox, 'src', 'index.js'), `console.log(${time_});\n`);
    peaks.push((await time(sjs('build', sandbox), { env: world.env, withMemory: true })).peakMiB);
  }
  add(
    'memory',
    'peak memory of `sjs build` with a source of 100 MB',
    { atMost: 100 },
    {
      value: round(Math.max(...peaks)),
      unit: 'MiB',
      rounds: peaks.length,
      samples: { sjs: peaks.map((mib) => round(mib)) },
    },
  );
}
