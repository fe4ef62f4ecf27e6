import type { RunRecord } from '../../index.js';
import { passOutput, textOf } from '../run-streams.js';
import type { CliContext, Verb } from '../verb.js';
import { isCi } from '../workflow-commands.js';

/** `sjs logs`: what a run wrote, each stream to its own. */
export const logsVerb: Verb = {
  examples: [
    ['sjs logs 01K5ZQ8V', 'a run, by the beginning of its id'],
    ['sjs logs --stderr 01K5ZQ8V', 'only what it wrote to stderr'],
  ],
  usage: '<run>',
  positionals: [1, 1],
  options: {
    stdout: { describe: 'only what it wrote to stdout' },
    stderr: { describe: 'only what it wrote to stderr' },
    raw: { describe: 'show it on a terminal just as it is, control sequences too' },
  },
  async run(input, context) {
    const { sjs, output, env } = context;
    const record = await sjs.findRun(input.positionals[0] ?? '');
    const isWanted = {
      stdout: !input.has('stderr') || input.has('stdout'),
      stderr: !input.has('stdout') || input.has('stderr'),
    };
    if (output.json) {
      await output.printJson({
        id: record.id,
        ...(isWanted.stdout && textOf('stdout', await readAll(record.stdout, context))),
        ...(isWanted.stderr && textOf('stderr', await readAll(record.stderr, context))),
      });
      return 0;
    }
    const sinks = passOutput(output, { raw: input.has('raw'), ci: isCi(env) });
    if (isWanted.stdout)
      for await (const chunk of chunksOf(record.stdout, context)) await sinks.onStdout(chunk);
    if (isWanted.stderr)
      for await (const chunk of chunksOf(record.stderr, context)) await sinks.onStderr(chunk);
    await sinks.end();
    return 0;
  },
};

async function* chunksOf(stream: RunRecord['stdout'], { sjs }: CliContext): AsyncGenerator<Uint8Array> {
  if (stream === null) return;
  for await (const chunk of await sjs.readContent(stream.digest)) yield chunk as Uint8Array;
}

async function readAll(stream: RunRecord['stdout'], context: CliContext): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(stream, context)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
