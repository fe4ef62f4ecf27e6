/**
 * Builds a sandbox, runs it with two inputs and replays the first run, from a program of one's own.
 * Run it with: node examples/embed/main.ts <folder with a sandbox.yaml>   (Node 24; Node 20: npx tsx)
 */
import { Readable } from 'node:stream';
import { createSjs, SjsError } from 'sjs';

const folder = process.argv[2] ?? '.';
const sjs = createSjs({
  reporter: {
    step: (stage, message) => console.error(stage, message),
    done: () => {},
    warn: console.error,
    debug: () => {},
  },
});

try {
  const { tag, seal } = await sjs.build(folder);
  console.log(`sealed ${tag} (${seal})`);

  const first = await sjs.run(tag, { args: ['65', '17', '3233'], stdin: Readable.from([]) });
  console.log(`run ${first.id}: ${first.state}, exit code ${first.exitCode}`);
  if (first.stdout) {
    for await (const chunk of await sjs.readContent(first.stdout.digest))
      process.stdout.write(chunk as Uint8Array);
  }

  const { verdict } = await sjs.replay(first.id);
  console.log(verdict.reproduced ? 'reproduced' : verdict.differences);
} catch (error) {
  if (!(error instanceof SjsError)) throw error;
  console.error(`${error.code}: ${error.message}`, error.next ?? '');
  process.exitCode = 1;
}
