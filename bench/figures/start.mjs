import { interleave } from '../measure.mjs';

/** How long sjs needs to begin. */
export async function measure({ addRatio, wall, sjs, rounds }) {
  const results = await interleave(rounds, {
    sjs: () => wall(sjs('--version')),
    node: () => wall([process.execPath, '-e', '0']),
  });
  addRatio('version', '`sjs --version`', 1.5, results.sjs, ['`node -e 0`', results.node]);
}
