import { execFileSync } from 'node:child_process';
import { sealHello } from '../hello.mjs';
import { interleave, median, round } from '../measure.mjs';

/** Many runs at once beside as many of `docker run`. */
export async function measure(bench) {
  const { add, wall, sjs } = bench;
  const { tag, dockerRun, onBaseNode, baseNode } = await sealHello(bench);
  const slices = 5;
  const perSlice = 40;
  const many = (command) =>
    wall(['sh', '-c', `seq ${perSlice} | xargs -P 8 -I @ "$@"`, 'sh', ...command], { stdout: 'ignore' });
  const results = await interleave(slices, {
    sjs: () => many(sjs('run', tag)),
    sjsBase: () => many([...onBaseNode, 'run', tag]),
    docker: () => many(dockerRun),
  });
  const perSecond = (times) => round((perSlice * 1000) / median(times), 2);
  for (const [name, what, ours] of [
    ['throughput', `${slices * perSlice} runs at concurrency 8, in slices of ${perSlice}`, results.sjs],
    ['throughput-base-node', `the same, sjs itself on Node ${baseNode}`, results.sjsBase],
  ]) {
    add(
      name,
      what,
      { atMost: Infinity, atLeast: 0.9 },
      {
        value: round(median(results.docker) / median(ours), 2),
        unit: 'ratio',
        sjsPerSecond: perSecond(ours),
        rival: '`xargs -P 8 docker run`',
        rivalPerSecond: perSecond(results.docker),
        rounds: slices,
        samples: { sjs: ours.map((ms) => round(ms)), rival: results.docker.map((ms) => round(ms)) },
      },
    );
  }
  const left = execFileSync('docker', ['ps', '-aq', '--filter', `ancestor=${tag}`], {
    encoding: 'utf8',
  }).trim();
  if (left !== '') throw new Error(`containers are left: ${left}`);
}
