import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { median, round } from './measure.mjs';
import { MAIN } from './world.mjs';

/** Where the time of a run goes: the median of what traced runs say. */
export async function tracePhases(tag, nodeMs, rounds, env) {
  const traces = [];
  for (let index = 0; index < rounds; index += 1) {
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
