// bench.mjs FOLDER REGISTRY: measures sjs beside its rivals on this machine; writes bench/results.json, docs/performance.md
// and its plot. Run by scripts/bench. Options: --json prints the results, --only NAME[,NAME…] measures some of them.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { interleave, median, round, time } from './measure.mjs';
import { writeReport } from './report.mjs';
import { MAIN, openWorld, SOCKET } from './world.mjs';

const { values: options, positionals } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' } },
  allowPositionals: true,
});
const [folder, registry] = positionals;
const only = options.only?.split(',');
const ROUNDS = 15;
const world = await openWorld(folder, registry);
const { env } = world;
const sjs = (...args) => [process.execPath, MAIN, ...args];
const wall = async (command, given = {}) => (await time(command, { env, ...given })).wallMs;
/** For a program that prints how many milliseconds it took. */
const printed = async (command) => Number((await time(command, { env, stdout: 'pipe' })).stdout);

const figures = [];
const wants = (name) => !only || only.includes(name);

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

if (wants('version')) {
  const results = await interleave(ROUNDS, {
    sjs: () => wall(sjs('--version')),
    node: () => wall([process.execPath, '-e', '0']),
  });
  addRatio('version', '`sjs --version`', 1.5, results.sjs, ['`node -e 0`', results.node]);
}

/** The settings of a run of this tag as the engine shows them, to be created again by others. */
async function readSettings(tag) {
  const running = spawn(process.execPath, [MAIN, 'run', tag, '--', 'wait'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(running.stdout, 'data');
  const [id] = execFileSync('docker', ['ps', '-q', '--filter', `ancestor=${tag}`], {
    encoding: 'utf8',
  }).split('\n');
  const [found] = JSON.parse(execFileSync('docker', ['inspect', id], { encoding: 'utf8' }));
  await once(running, 'exit');
  return {
    ...found.Config,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    Cmd: [],
    Labels: {},
    Image: found.Image,
    HostConfig: found.HostConfig,
  };
}

/** The same settings as flags of `docker run`. */
function toFlags({ User, Hostname, HostConfig: host }) {
  return [
    ...[
      '--rm',
      '--init',
      '--read-only',
      '--network',
      host.NetworkMode,
      '--user',
      User,
      '--hostname',
      Hostname,
    ],
    ...host.CapDrop.flatMap((name) => ['--cap-drop', name]),
    ...['--security-opt', 'no-new-privileges', '--security-opt', 'seccomp=policies/seccomp.json'],
    ...['--ipc', host.IpcMode, '--cgroupns', host.CgroupnsMode, '--oom-score-adj', host.OomScoreAdj],
    ...[
      '--memory',
      host.Memory,
      '--memory-swap',
      host.MemorySwap,
      '--cpus',
      host.NanoCpus / 1e9,
      '--pids-limit',
      host.PidsLimit,
    ],
    ...host.Ulimits.flatMap(({ Name, Soft, Hard }) => ['--ulimit', `${Name}=${Soft}:${Hard}`]),
    ...Object.entries(host.Tmpfs).flatMap(([path, mount]) => ['--tmpfs', `${path}:${mount}`]),
    ...[
      '--log-driver',
      host.LogConfig.Type,
      ...Object.entries(host.LogConfig.Config).flatMap(([key, value]) => ['--log-opt', `${key}=${value}`]),
    ],
    ...[
      '--dns',
      host.Dns[0],
      '--dns-search',
      host.DnsSearch[0],
      '--stop-signal',
      'SIGKILL',
      '--no-healthcheck',
    ],
  ].map(String);
}

/** sjs built for the Node of the sealed image, which may be a later one than this machine's. The words that start it. */
function buildForBaseNode(tag) {
  const target = join(folder, 'work', 'node');
  const run = (...args) =>
    execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const container = run('create', tag);
  try {
    const path = run('inspect', '--format', '{{json .Config.Env}}', container);
    const folders = JSON.parse(path)
      .find((line) => line.startsWith('PATH='))
      .slice('PATH='.length)
      .split(':');
    const found = folders.some((place) => {
      try {
        return run('cp', '-L', `${container}:${place}/node`, target) !== null;
      } catch {
        return false;
      }
    });
    if (!found) throw new Error('the base has no Node in its PATH');
  } finally {
    run('rm', '-f', container);
  }
  const place = join(folder, 'work', 'sjs');
  mkdirSync(place);
  cpSync('dist', join(place, 'dist'), { recursive: true });
  for (const name of ['package.json', 'policies', 'schemas', 'templates'])
    symlinkSync(resolve(name), join(place, name));
  const cli = join(place, 'dist', 'cli');
  const bundles = readdirSync(cli).filter((name) => name.endsWith('.cjs') && name !== 'main.cjs');
  execFileSync(target, ['scripts/compile-code.mjs', ...bundles.map((name) => join(cli, name))]);
  return [target, join(cli, 'main.cjs')];
}

let phases = null;
if (wants('run') || wants('throughput')) {
  const sandbox = await world.makeSandbox('hello', {
    'index.js': 'console.log("hello"); if (process.argv[2] === "wait") setTimeout(() => {}, 1000);\n',
  });
  const { tag } = JSON.parse(world.sjs(['build', sandbox, '--json']));
  const settings = await readSettings(tag);
  const settingsFile = join(folder, 'work', 'settings.json');
  writeFileSync(settingsFile, JSON.stringify(settings));
  const dockerRun = ['docker', 'run', ...toFlags(settings), tag];

  const onBaseNode = buildForBaseNode(tag);
  const baseNode = execFileSync(onBaseNode[0], ['--version'], { encoding: 'utf8' }).trim();

  if (wants('run')) {
    const callApi = (node) => printed([node, 'bench/api-client.mjs', SOCKET, settingsFile]);
    const results = await interleave(ROUNDS, {
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
    phases = await tracePhases(tag, median(results.node));
  }

  if (wants('throughput')) {
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
}

if (wants('build')) {
  const files = Object.fromEntries(
    Array.from({ length: 50 }, (_, index) => [
      `module-${index}.js`,
      `exports.value = ${index};\n`.repeat(40),
    ]),
  );
  const sandbox = await world.makeSandbox('app', { 'index.js': 'console.log(1);\n', ...files });
  const context = await world.makeContext(sandbox, 'app');
  const LABEL = 'sjs-bench';
  const dockerBuild = ['docker', 'build', '--quiet', '--tag', 'sjs-bench-app', '--label', LABEL, context];
  world.sjs(['build', sandbox]);
  await wall(dockerBuild);
  const unchanged = await interleave(ROUNDS, {
    sjs: () => wall(sjs('build', sandbox)),
    docker: () => wall(dockerBuild),
    cosign: () => wall(world.verifyBase),
    node: () => wall([process.execPath, '-e', '0']),
  });
  const floor = ['`node -e 0` and `cosign verify`', sums(unchanged.node, unchanged.cosign)];
  addRatio(
    'build-unchanged',
    '`sjs build`, nothing changed',
    0.5,
    unchanged.sjs,
    ['`docker build`, everything cached', unchanged.docker],
    floor,
  );
  let line = 0;
  const change = (...path) =>
    writeFileSync(join(...path, 'index.js'), `console.log(${Date.now()}, ${(line += 1)});\n`);
  const changed = await interleave(ROUNDS, {
    sjs: () => {
      change(sandbox, 'src');
      return wall(sjs('build', sandbox));
    },
    docker: () => {
      change(context, 'layer', 'app');
      return wall(dockerBuild);
    },
  });
  addRatio(
    'build-changed',
    '`sjs build`, one line changed',
    0.6,
    changed.sjs,
    ['`docker build`, the same change', changed.docker],
    floor,
  );
  execFileSync('docker', ['image', 'rm', '-f', 'sjs-bench-app'], { stdio: 'ignore' });
  execFileSync('docker', ['image', 'prune', '-f', '--filter', `label=${LABEL}`], { stdio: 'ignore' });
}

if (wants('memory')) {
  const sandbox = await world.makeSandbox('big', {
    'index.js': 'console.log(1);\n',
    'data.bin': Buffer.alloc(100_000_000, 'sjs'),
  });
  const peaks = [];
  for (let time_ = 0; time_ < 3; time_ += 1) {
    writeFileSync(join(sandbox, 'src', 'index.js'), `console.log(${time_});\n`);
    peaks.push((await time(sjs('build', sandbox), { env, withMemory: true })).peakMiB);
  }
  add(
    'memory',
    'peak memory of `sjs build` with a source of 100 MB',
    { atMost: 100 },
    {
      value: round(Math.max(...peaks)),
      unit: 'MiB',
      rounds: peaks.length,
      samples: { sjs: peaks.map((mib) => round(mib)) },
    },
  );
}

if (wants('pack')) {
  const files = 10_000;
  const sandbox = await world.makeSandbox('many', { 'index.js': '' });
  for (let index = 0; index < files; index += 1) {
    const place = join(sandbox, 'src', `folder-${index % 100}`);
    if (index < 100) mkdirSync(place);
    writeFileSync(join(place, `file-${index}.js`), `module.exports = ${index};\n`.repeat(1 + (index % 50)));
  }
  const packer = join(folder, 'work', 'pack.mjs');
  await build({
    entryPoints: ['bench/pack.ts'],
    outfile: packer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  });
  // Beside node_modules, or the packages that are not bundled would not be found.
  const place = join('.cache', 'bench-pack.mjs');
  execFileSync('cp', [packer, place]);
  const results = await interleave(ROUNDS, {
    sjs: () => printed([process.execPath, place, sandbox]),
    tar: () =>
      wall([
        'sh',
        '-c',
        'tar --sort=name -cf - "$1" 2>/dev/null | cat >/dev/null',
        'sh',
        join(sandbox, 'src'),
      ]),
    read: () => wall([process.execPath, 'bench/read-tree.mjs', join(sandbox, 'src')]),
    node: () => wall([process.execPath, '-e', '0']),
  });
  addRatio(
    'pack',
    'packing 10,000 small files, less the start of Node',
    1.5,
    results.sjs,
    ['`tar` of the same tree', results.tar],
    [
      'a Node program that opens and reads each file once, less `node -e 0`',
      results.read.map((ms, index) => ms - results.node[index]),
    ],
  );
}

if (wants('runs')) {
  const home = join(folder, 'work', 'many-runs');
  const sandbox = await world.makeSandbox('one', { 'index.js': 'console.log(1);\n' });
  world.sjs(['run', JSON.parse(world.sjs(['build', sandbox, '--json'])).tag]);
  execFileSync(process.execPath, ['bench/make-records.mjs', env.SJS_HOME, home, '100000'], {
    stdio: 'inherit',
  });
  const listEnv = { ...env, SJS_HOME: home };
  const results = await interleave(ROUNDS, {
    sjs: () => wall(sjs('runs'), { env: listEnv }),
    node: () => wall([process.execPath, '-e', '0']),
  });
  add(
    'runs',
    '`sjs runs` over 100,000 records',
    { atMost: 200 },
    {
      value: round(median(results.sjs)),
      unit: 'ms',
      sjsMs: round(median(results.sjs)),
      rival: '`node -e 0`',
      rivalMs: round(median(results.node)),
      rounds: ROUNDS,
      samples: { sjs: results.sjs.map((ms) => round(ms)) },
    },
  );
}

for (const { tag } of JSON.parse(world.sjs(['images', '--json']))) world.sjs(['rm', tag]);

/** Where the time of a run goes: the median of what traced runs say. */
async function tracePhases(tag, nodeMs) {
  const traces = [];
  for (let index = 0; index < ROUNDS; index += 1) {
    const child = spawn(process.execPath, ['--require', './bench/trace.cjs', MAIN, 'run', tag], {
      env: { ...env, SJS_BENCH_TRACE: '3' },
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    });
    const chunks = [];
    child.stdio[3].on('data', (chunk) => chunks.push(chunk));
    await once(child, 'close');
    traces.push(JSON.parse(Buffer.concat(chunks).toString()));
  }
  const between = (from, to) => round(median(traces.map((marks) => marks[to] - marks[from])));
  return [
    ['Node starts', round(nodeMs), 'floor'],
    ['sjs loads and reads its words', between('started', 'ask'), 'sjs'],
    ['seal, policy and controls are checked', between('ask', 'create'), 'sjs'],
    ['the engine creates the container; the record is written', between('create', 'createDone'), 'engine'],
    ['attach; the reaper stands ready', between('createDone', 'start'), 'sjs'],
    ['the engine starts the container', between('start', 'startDone'), 'engine'],
    ['Node starts in the sandbox and the program runs', between('startDone', 'inspect'), 'engine'],
    ['the end is read, output and record are made durable', between('inspect', 'remove'), 'sjs'],
    ['the engine removes the container', between('remove', 'removeDone'), 'engine'],
    ['sjs ends', between('removeDone', 'exit'), 'sjs'],
  ].map(([step, ms, by]) => ({ step, ms, by }));
}

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
if (!only) {
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
