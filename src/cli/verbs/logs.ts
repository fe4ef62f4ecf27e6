import { SjsError, type OutputPiece } from '../../index.js';
import { exitCodeOfSignal } from '../exit-codes.js';
import { withRun } from '../find-run.js';
import { parseTime } from '../parse-time.js';
import { passOutput, textOf } from '../run-streams.js';
import { TailLines } from '../tail-lines.js';
import type { CliContext, Verb, VerbInput } from '../verb.js';
import { isCi } from '../workflow-commands.js';

type StreamName = OutputPiece['stream'];

/** `sjs logs`: what a run wrote, each stream to its own. */
export const logsVerb: Verb = {
  examples: [
    ['sjs logs 01K5ZQ8V', 'a run, by the beginning of its id'],
    ['sjs logs -f --tail 10 01K5ZQ8V', 'the last ten lines of each stream, and what still comes'],
    ['sjs logs --stderr --since 5m 01K5ZQ8V', 'only what it wrote to stderr, in the last five minutes'],
  ],
  usage: '<run>',
  positionals: [1, 1],
  options: {
    follow: { short: 'f', describe: 'go on until the run is over' },
    tail: { short: 'n', value: 'N', describe: 'only the last lines of each stream, or all' },
    since: { value: 'TIME', describe: 'only what came since then: 10m, 2h, or 2026-01-31T12:00:00Z' },
    stdout: { describe: 'only what it wrote to stdout' },
    stderr: { describe: 'only what it wrote to stderr' },
    raw: { describe: 'show it on a terminal just as it is, control sequences too' },
  },
  notes: `When output came is noted to a hundredth of a second, and not for each line: --since may show a little more. With
--json and -f each piece is a line of JSON.`,
  async run(input, context) {
    const { sjs } = context;
    const target = input.positionals[0] ?? '';
    return withRun('logs', target, sjs, async (wanted) => {
      const { id } = await sjs.findRun(wanted);
      return show(id, input, context);
    });
  },
};

async function show(id: string, input: VerbInput, context: CliContext): Promise<number> {
  const { sjs, output, env } = context;
  const follow = input.has('follow');
  const since = input.value('since');
  const tap = follow ? context.tapSignals() : null;
  const wanted = (['stdout', 'stderr'] as const).filter(
    (stream) => input.has(stream) || !(input.has('stdout') || input.has('stderr')),
  );
  const pieces = sjs.readOutput(id, {
    follow,
    ...(since !== undefined && { sinceMs: parseTime('since', since, Date.now()) }),
    ...(tap && { signal: tap.signals.abort }),
  });
  const tail = tailOf(parseTail(input.value('tail')), pieces);
  if (output.json && !follow) {
    const texts: Record<StreamName, Uint8Array[]> = { stdout: [], stderr: [] };
    for await (const { stream, data } of tail) texts[stream].push(Uint8Array.from(data));
    const documents = wanted.map((stream) => textOf(stream, Buffer.concat(texts[stream])));
    await output.printJson(Object.assign({ id }, ...documents));
    return 0;
  }
  const sinks = passOutput(output, { raw: input.has('raw'), ci: isCi(env) });
  try {
    for await (const { stream, data } of tail) {
      if (!wanted.includes(stream) || data.length === 0) continue;
      if (output.json) await output.printJsonLine({ id, stream, ...textOf('text', data) });
      else await (stream === 'stdout' ? sinks.onStdout : sinks.onStderr)(data);
    }
  } catch (error) {
    const received = tap?.received() ?? null;
    // Ctrl-C is how one leaves a log that goes on.
    if (received === null || !(error instanceof SjsError && error.code === 'ABORTED')) throw error;
    await sinks.end();
    return exitCodeOfSignal(received);
  }
  await sinks.end();
  return 0;
}

/** Infinity: all. */
function parseTail(text = 'all'): number {
  if (text === 'all') return Infinity;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new SjsError('USAGE', `--tail ${JSON.stringify(text)} is neither a number nor all`);
}

/** Of what was there before, the last lines of each stream; then all that comes. */
async function* tailOf(
  lines: number,
  pieces: AsyncIterable<OutputPiece>,
): AsyncGenerator<Pick<OutputPiece, 'stream' | 'data'>> {
  if (lines === Infinity) {
    yield* pieces;
    return;
  }
  const kept = { stdout: new TailLines(lines), stderr: new TailLines(lines) };
  const flush = (): Pick<OutputPiece, 'stream' | 'data'>[] =>
    (['stdout', 'stderr'] as const)
      .map((stream) => ({ stream, data: kept[stream].take() }))
      .filter(({ data }) => data.length > 0);
  for await (const piece of pieces) {
    if (piece.isBacklog) {
      kept[piece.stream].push(Uint8Array.from(piece.data));
      continue;
    }
    yield* flush();
    yield piece;
  }
  yield* flush();
}
