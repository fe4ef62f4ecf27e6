import { answerOf, describeTextDifference, type RunRecord, type Sjs } from '../../index.js';
import { exitCodeOfSignal } from '../exit-codes.js';
import { suggestRun } from '../find-run.js';
import { readAnswerText } from '../read-answer.js';
import type { Colors } from '../output.js';
import {
  readReceiptOptions,
  RECEIPT_OPTIONS,
  sayUnsigned,
  signForJson,
  signForPeople,
} from '../receipt-options.js';
import { readSecrets } from '../run-request.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** Of an answer so much is shown, in characters. */
const MOST_ANSWER = 400;

type Replay = Awaited<ReturnType<Sjs['replay']>>;
type Difference = Replay['verdict']['differences'][number];

/** `sjs replay`: the verdict, and where the two runs differ. */
export const replayVerb: Verb = {
  examples: [
    ['sjs replay 01K5ZQ8V', 'run that run again, with the same inputs and limits'],
    ['sjs replay sjs/my-job:1.0.0-3f9a0c1b2d4e', 'the newest finished run of that image'],
    ['sjs replay --receipt --key cosign.key 01K5ZQ8V', 'and sign the verdict'],
    ['sjs replay --json 01K5ZQ8V | jq .reproduced', 'the verdict for a script'],
  ],
  usage: '<run or tag>',
  positionals: [1, 1],
  options: {
    secret: {
      value: 'NAME',
      many: true,
      describe: 'a secret the run had, from your environment; NAME=@FILE takes it from a file',
    },
    ...RECEIPT_OPTIONS,
  },
  notes: 'Exit status: 0 reproduced, 1 different; 125 failed, 126 refused, 127 no such run.',
  async run(input, { sjs, output, env, stdin, tapSignals }) {
    // Signals are taken only then: one that comes while a secret is read from stdin ends sjs, as ever.
    const secrets = await readSecrets(input.values('secret'), env, stdin);
    const tap = tapSignals();
    const sign = await readReceiptOptions(input, sjs, tap.signals.abort);
    const target = input.positionals[0] ?? '';
    const { original, replay, verdict } = await suggestRun(target, sjs, () =>
      sjs.replay(target, { secrets, signals: tap.signals }),
    );
    if (output.json) {
      const { fields, failure } = await signForJson(sign, replay);
      await output.printJson({ ...verdict, original: original.id, replay: replay.id, ...fields });
      if (failure) return sayUnsigned(failure, 'replay', output);
    } else {
      await output.print(await formatReplay({ original, replay, verdict }, sjs, output.out));
      await signForPeople(sign, replay, output);
    }
    const received = tap.received();
    if (replay.state === 'interrupted' && received !== null) return exitCodeOfSignal(received);
    return verdict.reproduced ? 0 : 1;
  },
};

async function formatReplay(
  { original, replay, verdict }: Replay,
  sjs: Sjs,
  colors: Colors,
): Promise<string> {
  const word = verdict.reproduced ? colors.green('reproduced') : colors.red('not reproduced');
  const lines = [`${word}: run ${original.id}, replayed as ${replay.id}`];
  for (const difference of verdict.differences) {
    lines.push(...(await formatDifference(difference, original, replay, sjs)));
  }
  for (const { field, reason } of verdict.notCompared) {
    lines.push(`  ${cleanLine(field)} could not be compared: ${cleanLine(reason)}`);
  }
  for (const { field, expected, actual } of verdict.environment) {
    lines.push(colors.dim(`  ${field} was ${show(expected)} and is now ${show(actual)}`));
  }
  return lines.join('\n');
}

async function formatDifference(
  { field, expected, actual }: Difference,
  original: RunRecord,
  replay: RunRecord,
  sjs: Sjs,
): Promise<string[]> {
  if (field === 'stdout' || field === 'stderr') {
    const [before, after] = await Promise.all([read(original[field], sjs), read(replay[field], sjs)]);
    const detail = before && after ? describeTextDifference(before, after) : '';
    const [place = '', ...shown] = detail.split('\n');
    return [`  ${field} differs${place === '' ? '' : ` at ${place}`}`, ...shown.map((line) => `    ${line}`)];
  }
  if (field === 'answer') {
    const [before, after] = await Promise.all([original, replay].map((run) => describeAnswer(run, sjs)));
    return ['  answer differs', `    was ${before}`, `    now ${after}`];
  }
  return [`  ${cleanLine(field)} was ${show(expected)}, now ${show(actual)}`];
}

/** A call's answer in one line. */
async function describeAnswer(run: RunRecord, sjs: Sjs): Promise<string> {
  const answer = answerOf(run);
  if (answer === null) return 'absent';
  if (answer.kind === 'undefined') return 'undefined';
  const text = await readAnswerText(run, sjs);
  const shown = text === null ? `${answer.bytes} bytes` : cleanLine(text.slice(0, MOST_ANSWER));
  const more = text !== null && text.length > MOST_ANSWER ? ` … (${answer.bytes} bytes)` : '';
  return `${answer.kind === 'error' ? 'threw ' : ''}${shown}${more}`;
}

async function read(stream: RunRecord['stdout'], sjs: Sjs): Promise<Buffer | null> {
  if (stream === null) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await sjs.readContent(stream.digest)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function show(value: unknown): string {
  if (value === null || value === undefined) return 'absent';
  return cleanLine(typeof value === 'string' ? value : JSON.stringify(value));
}
