import { median, round } from './measure.mjs';

/** Collects figures, and tells each as it comes. */
export function collectFigures() {
  const figures = [];

  /** One figure: medians of both sides, and the ratio or the value that the target is about. */
  function add(name, what, target, given) {
    figures.push({
      name,
      what,
      target,
      ...given,
      met: given.value <= target.atMost && !(given.value < (target.atLeast ?? -Infinity)),
    });
    const { value, unit } = figures.at(-1);
    process.stderr.write(`${what}: ${value}${unit === 'ratio' ? ' ×' : ` ${unit}`}\n`);
  }

  /**
   * A figure that is the ratio of the medians of two sides. A floor, in words and samples, is what any program on Node
   * would need that does the same.
   */
  function addRatio(name, what, atMost, ours, [rivalName, rival], [floorName, floor] = []) {
    const [mine, its] = [median(ours), median(rival)];
    add(
      name,
      what,
      { atMost },
      {
        value: round(mine / its, 2),
        unit: 'ratio',
        sjsMs: round(mine),
        rival: rivalName,
        rivalMs: round(its),
        ...(floor && { floor: floorName, floorRatio: round(median(floor) / its, 2) }),
        rounds: ours.length,
        samples: { sjs: ours.map((ms) => round(ms)), rival: rival.map((ms) => round(ms)) },
      },
    );
  }
  const sums = (...sides) => sides[0].map((_, index) => sides.reduce((sum, side) => sum + side[index], 0));

  return { figures, add, addRatio, sums };
}
