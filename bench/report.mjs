import { writeFile } from 'node:fs/promises';
import { format } from 'prettier';

/** Writes docs/performance.md and its plot from what was measured. */
export async function writeReport(results) {
  await writeFile('docs/performance.svg', plot(results.phases));
  await writeFile('docs/performance.md', await describe(results));
}

/** The page: no figure in it comes from anywhere else. */
export async function describe({ machine, figures, phases }) {
  const rows = figures.map(
    ({
      what,
      value,
      unit,
      target,
      met,
      sjsMs,
      rival,
      rivalMs,
      sjsPerSecond,
      rivalPerSecond,
      floor,
      floorRatio,
    }) => {
      const ours =
        sjsMs !== undefined ? `${sjsMs} ms` : sjsPerSecond !== undefined ? `${sjsPerSecond} /s` : '';
      const its =
        rivalMs !== undefined ? `${rivalMs} ms` : rivalPerSecond !== undefined ? `${rivalPerSecond} /s` : '';
      const wanted = target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`;
      const show = unit === 'ratio' ? `${value} ×` : `${value} ${unit}`;
      return `| ${what} | ${ours} | ${rival === undefined ? '' : `${rival}: ${its}`} | **${show}** | ${wanted}${met ? '' : ' (missed)'} | ${floor === undefined ? '' : `${floorRatio} ×: ${floor}`} |`;
    },
  );
  const text = `# Performance

Written by \`make bench\`: every figure here is one that it printed, and
[bench/results.json](../bench/results.json) holds the samples. It takes turns between sjs and its rival in one run, so
that what else the machine does meets both; times are medians, and ratios hold better than times on another machine.

Measured on ${machine.cores} cores and ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Docker Engine ${machine.engine}, Node.js ${machine.node}.

| what | sjs | beside | result | target | any program on this Node |
|---|---|---|---|---|---|
${rows.join('\n')}

## Where each millisecond of a run goes

Medians of traced runs of the same hello; tracing itself costs some milliseconds, so that the sum is a little more than
the untraced time above.

![A bar for each step of a run, in milliseconds](performance.svg)

| step | ms |
|---|---|
${phases.map(({ step, ms }) => `| ${step} | ${ms} |`).join('\n')}
| **together** | ${phases.reduce((sum, { ms }) => sum + ms, 0).toFixed(1)} |
`;
  const options = { parser: 'markdown', printWidth: 120, proseWrap: 'preserve' };
  return format(text, options);
}

const COLOURS = { floor: '#9aa0a6', sjs: '#1a73e8', engine: '#e8a33d' };
const LEGEND = { floor: 'Node’s own start', sjs: 'sjs', engine: 'engine and program' };

/** A waterfall: one line a step, each beginning where the one before ends. */
export function plot(phases) {
  const total = phases.reduce((sum, { ms }) => sum + ms, 0);
  const [left, width, line] = [390, 520, 26];
  const scale = width / total;
  let at = 0;
  const bars = phases.map(({ step, ms, by }, index) => {
    const [x, y] = [left + at * scale, 20 + index * line];
    at += ms;
    return [
      `<text x="${left - 10}" y="${y + 14}" text-anchor="end">${step}</text>`,
      `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(1, ms * scale).toFixed(1)}" height="${line - 8}" fill="${COLOURS[by]}"/>`,
      `<text x="${(x + ms * scale + 5).toFixed(1)}" y="${y + 14}">${ms}</text>`,
    ].join('');
  });
  const bottom = 20 + phases.length * line;
  const legend = Object.entries(LEGEND).map(
    ([by, text], index) =>
      `<rect x="${left + index * 170}" y="${bottom + 14}" width="14" height="14" fill="${COLOURS[by]}"/><text x="${left + 20 + index * 170}" y="${bottom + 26}">${text}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 70}" height="${bottom + 44}" font-family="sans-serif" font-size="13">
<title>Where each millisecond of sjs run goes: ${total.toFixed(0)} ms in all</title>
<rect width="100%" height="100%" fill="#ffffff"/>
${bars.join('\n')}
${legend.join('\n')}
</svg>
`;
}
