import { interleave, median, round, time } from '../measure.mjs';

const MEGABYTES = 200;

/** 200 MB of output into a pipe. */
export async function measure({ add, sjs, world }) {
  const sandbox = await world.makeSandbox(
    'output',
    {
      'index.js': `const { writeSync } = require('node:fs');
const chunk = Buffer.alloc(65536, 'x');
for (let left = ${MEGABYTES * 1e6}; left > 0; ) left -= writeSync(1, chunk, 0, Math.min(left, chunk.length));
`,
    },
    '  resources: { output: 1Gi, timeout: 5m }\n',
  );
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
  const peaks = [];
  const results = await interleave(7, {
    sjs: async () => {
      const { outputMs, peakMiB } = await time(sjs('run', tag), {
        env: world.env,
        withMemory: true,
        stdout: 'drain',
      });
      peaks.push(peakMiB);
      return outputMs;
    },
    docker: async () => (await time(['docker', 'run', '--rm', tag], { stdout: 'drain' })).outputMs,
  });
  const rate = (times) => round((MEGABYTES * 1000) / median(times), 1);
  add(
    'output',
    `rate of ${MEGABYTES} MB of output into a pipe, from its first byte to its last`,
    { atMost: Infinity, atLeast: 0.8 },
    {
      value: round(median(results.docker) / median(results.sjs), 2),
      unit: 'ratio',
      sjsPerSecond: rate(results.sjs),
      rival: '`docker run --rm`, in MB',
      rivalPerSecond: rate(results.docker),
      rounds: results.sjs.length,
      samples: {
        sjs: results.sjs.map((ms) => round(ms)),
        rival: results.docker.map((ms) => round(ms)),
      },
    },
  );
  add(
    'output-memory',
    'peak memory of sjs meanwhile',
    { atMost: 150 },
    { value: round(Math.max(...peaks)), unit: 'MiB', rounds: peaks.length },
  );
}
