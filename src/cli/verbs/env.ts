import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs env`: as printenv in the sandbox. */
export const envVerb: Verb = {
  examples: [
    ['sjs env my-job', 'what a program of that sandbox finds in its environment'],
    ['sjs env --json sjs/my-job:1.0.0-3f9a0c1b2d4e | jq .TZ', 'one variable of one exact image'],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  async run(input, { sjs, output }) {
    const { labels, env } = await sjs.inspectEnv(input.positionals[0] ?? '');
    if (output.json) await output.printJson(env);
    const clean = output.stdout.isTTY === true ? cleanLine : (text: string): string => text;
    for (const [name, value] of Object.entries(env)) await output.print(clean(`${name}=${value}`));
    const { secrets } = labels.plan;
    if (secrets.length > 0)
      output.note(cleanLine(`and the secrets that a run is given: ${secrets.join(', ')}`));
    return 0;
  },
};
