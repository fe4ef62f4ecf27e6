// bench.mjs FOLDER REGISTRY: measures sjs beside its rivals on this machine; writes bench/results.json, docs/performance.md
// and its plot. Run by scripts/bench. Options: --json prints the results, --only NAME[,NAME…] measures some of them.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { collectFigures } from './figures.mjs';
import { round, time } from './measure.mjs';
import { writeReport } from './report.mjs';
import { MAIN, openWorld } from './world.mjs';

/** What is measured, in this order; each is a file of bench/figures/. */
const NAMES = [
  ...['start', 'run', 'call', 'throughput', 'code', 'output', 'build', 'memory', 'pack', 'runs'],
  ...['isolated', 'gateway', 'crowd', 'dependencies', 'signed', 'pool', 'chromium'],
];

const { values: options, positionals } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' } },
  allowPositionals: true,
});
const [folder, registry] = positionals;
const names = options.only?.split(',') ?? NAMES;
const unknown = names.find((name) => !NAMES.includes(name));
if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${NAMES.join(', ')}`);
const world = await openWorld(folder, registry);
const { env } = world;
const { figures, ...collect } = collectFigures();
let phases = null;
const bench = {
  ...collect,
  addPhases: (found) => void (phases = found),
  /** How often each side takes its turn. */
  rounds: 15,
  folder,
  world,
  sjs: (...args) => [process.execPath, MAIN, ...args],
  wall: async (command, given = {}) => (await time(command, { env, ...given })).wallMs,
  /** For a program that prints how many milliseconds it took. */
  printed: async (command) => Number((await time(command, { env, stdout: 'pipe' })).stdout),
};
for (const name of names) {
  const { measure } = await import(`./figures/${name}.mjs`);
  await measure(bench);
}
for (const { tag } of JSON.parse(world.sjs(['images', '--json']))) world.sjs(['rm', tag]);

const docker = JSON.parse(
  execFileSync('docker', ['version', '--format', '{{json .Server}}'], { encoding: 'utf8' }),
);
const results = {
  machine: {
    cores: cpus().length,
    memoryGiB: round(totalmem() / 2 ** 30, 0),
    kernel: docker.KernelVersion.replace(/-.*/, ''),
    engine: docker.Version,
    node: process.versions.node,
  },
  figures,
  ...(phases && { phases }),
};
if (options.json) console.log(JSON.stringify(results, null, 2));
if (options.only === undefined) {
  writeFileSync('bench/results.json', `${JSON.stringify(results, null, 2)}\n`);
  await writeReport(results);
}
for (const { what, value, unit, target, met } of figures) {
  const wanted = target.atLeast === undefined ? `at most ${target.atMost}` : `at least ${target.atLeast}`;
  if (!options.json)
    console.log(
      `${met ? 'met   ' : 'MISSED'}  ${what}: ${value} ${unit === 'ratio' ? '×' : unit} (${wanted})`,
    );
}
