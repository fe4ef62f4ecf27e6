import { sealHello } from '../hello.mjs';
import { interleave, median, round } from '../measure.mjs';
import { tracePhases } from '../trace-phases.mjs';
import { SOCKET } from '../world.mjs';

/** `sjs run` of a sealed image beside `docker run`; and where its time goes. */
export async function measure(bench) {
  const { add, addRatio, addPhases, wall, printed, sjs, world, rounds, sums } = bench;
  const { tag, settingsFile, dockerRun, onBaseNode, baseNode } = await sealHello(bench);
  const callApi = (node) => printed([node, 'bench/api-client.mjs', SOCKET, settingsFile]);
  const results = await interleave(rounds, {
    sjs: () => wall(sjs('run', tag)),
    sjsBase: () => wall([...onBaseNode, 'run', tag]),
    docker: () => wall(dockerRun),
    api: () => callApi(process.execPath),
    apiBase: () => callApi(onBaseNode[0]),
    node: () => wall([process.execPath, '-e', '0']),
    nodeBase: () => wall([onBaseNode[0], '-e', '0']),
  });
  const rival = ['`docker run --rm`, same image and flags', results.docker];
  const bare = 'a bare API client that makes the same calls';
  addRatio('run', '`sjs run` of a sealed hello', 1.35, results.sjs, rival, [
    bare,
    sums(results.api, results.node),
  ]);
  addRatio('run-base-node', `the same, sjs itself on Node ${baseNode}`, 1.35, results.sjsBase, rival, [
    bare,
    sums(results.apiBase, results.nodeBase),
  ]);
  for (const [name, what, ours, api, node] of [
    ['own-share', "sjs's own share of that run", results.sjs, results.api, results.node],
    [
      'own-share-base-node',
      `the same, on Node ${baseNode}`,
      results.sjsBase,
      results.apiBase,
      results.nodeBase,
    ],
  ]) {
    const floor = sums(api, node);
    const own = ours.map((ms, index) => ms - floor[index]);
    add(
      name,
      what,
      { atMost: 40 },
      {
        value: round(median(own)),
        unit: 'ms',
        sjsMs: round(median(ours)),
        rival: 'a bare API client’s calls + `node -e 0`',
        rivalMs: round(median(floor)),
        rounds: own.length,
        samples: { own: own.map((ms) => round(ms)) },
      },
    );
  }
  addPhases(await tracePhases(tag, median(results.node), rounds, world.env));
}
