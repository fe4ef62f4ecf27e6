import { relative } from 'node:path';
import { describeUsedWaiver } from '../../index.js';
import { errorDocument, formatError } from '../error-report.js';
import { exitCodeOf } from '../exit-codes.js';
import { describeMentionedWaiver } from '../policy-view.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** By exit status; of what was not found, or cannot be read, the policy says nothing. */
const OUTCOMES: Readonly<Record<number, string>> = { 0: 'allowed', 3: 'refused', 4: 'refused' };

/** `sjs policy check`: every violation of everything that is named, each with both lines. */
export const policyCheckVerb: Verb = {
  examples: [
    ['sjs policy check', 'the sandbox of this folder, or all below it'],
    ['sjs policy check jobs/a jobs/b', 'several, as folders or files'],
    ['sjs policy check sjs/job:1.0.0-0123456789ab', 'a sealed image, by the rights sealed into it'],
  ],
  usage: '[path or tag…]',
  positionals: [0, Infinity],
  notes: 'Exit status 4 when the policy refuses anything. Paths need no engine.',
  async run(input, { sjs, output, tapSignals }) {
    const asked = input.positionals.length === 0 ? ['.'] : input.positionals;
    const check = await sjs.checkPolicy(asked, { signal: tapSignals().signals.abort });
    const view = { colors: output.err, verbose: output.verbose, directory: process.cwd() };
    const statuses: number[] = [];
    for (const { target, error, waivers } of check.targets) {
      const name = cleanLine(target.startsWith('/') ? relative(process.cwd(), target) || target : target);
      const status = error === null ? 0 : exitCodeOf(error, 'policy check');
      await output.print(`${name}: ${OUTCOMES[status] ?? 'not checked'}`);
      for (const waiver of waivers) await output.print(`  ${cleanLine(describeUsedWaiver(waiver))}`);
      if (error === null) continue;
      output.say(formatError(error, view));
      statuses.push(status);
    }
    for (const waiver of check.waivers) output.say(cleanLine(describeMentionedWaiver(waiver)));
    const status = statuses.includes(4) ? 4 : (statuses[0] ?? 0);
    if (output.json) {
      await output.printJson({
        allowed: status === 0,
        targets: check.targets.map(({ error, ...rest }) => ({
          ...rest,
          error: error === null ? null : errorDocument(error).error,
        })),
        waivers: check.waivers,
      });
    }
    return status;
  },
};
