import { interleave } from '../measure.mjs';

/** A cold `sjs call` of a function beside a cold `sjs run` of the same sealed image. */
export async function measure({ addRatio, wall, sjs, world, rounds }) {
  const source = 'export const add = (a, b) => a + b;\nconsole.log(add(1, 2));\n';
  const sandbox = await world.makeSandbox('call', {
    'index.js': source,
    'package.json': '{"type":"module"}',
  });
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
  const { call, run } = await interleave(rounds, {
    call: () => wall(sjs('call', tag, 'add', '1', '2')),
    run: () => wall(sjs('run', tag)),
  });
  addRatio('call', '`sjs call` of a function, cold', 1.1, call, ['`sjs run` of the same image, cold', run]);
}
