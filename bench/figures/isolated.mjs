import { interleave } from '../measure.mjs';

/** A run with a network of its own beside the same by hand. */
export async function measure({ addRatio, wall, sjs, world, rounds }) {
  const build = async (name, network) =>
    JSON.parse(
      world.sjs([
        'build',
        await world.makeSandbox(name, { 'index.js': 'console.log("hello");\n' }, `  network: ${network}\n`),
        '--json',
      ]),
    ).tag;
  const plain = await build('isolated', '{ mode: isolated }');
  const withGateway = await build('egress', '{ mode: isolated, egress: ["api.example.test:80"] }');
  const byHand = [
    ...['bash', '-e', '-c'],
    'docker network create "$1" >/dev/null; docker run --rm --network "$1" "$2"; docker network rm "$1" >/dev/null',
    ...['bash', 'sjs-bench', plain],
  ];
  const results = await interleave(rounds, {
    plain: () => wall(sjs('run', plain)),
    gateway: () => wall(sjs('run', withGateway)),
    docker: () => wall(byHand),
  });
  const rival = ['`docker network create`, `docker run`, `docker network rm`', results.docker];
  addRatio('isolated', '`sjs run` with a network of its own', 1.25, results.plain, rival);
  addRatio('isolated-gateway', 'the same with a gateway', 2.2, results.gateway, rival);
}
