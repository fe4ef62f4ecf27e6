import { setTimeout as delay } from 'node:timers/promises';
import { interleave } from '../measure.mjs';

/** A pool has its container back by then. */
const REFILL_MS = 1_500;

/** A cold `sjs call` of a function beside a cold `sjs run` of the same sealed image; a warm one beside Node alone. */
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

  world.sjs(['pool', 'start', tag, '--size', '2']);
  try {
    const { warm, node } = await interleave(rounds, {
      warm: () => delay(REFILL_MS).then(() => wall(sjs('call', '--warm', tag, 'add', '1', '2'))),
      node: () => delay(REFILL_MS).then(() => wall([process.execPath, '-e', '0'])),
    });
    addRatio('call-warm', '`sjs call --warm`', 1.6, warm, ['`node -e 0`', node]);
  } finally {
    world.sjs(['pool', 'stop', tag]);
  }
}
