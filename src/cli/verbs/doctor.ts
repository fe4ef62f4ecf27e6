import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs doctor`: exit status 1 when something failed. */
export const doctorVerb: Verb = {
  examples: [
    ['sjs doctor', 'the engine, cosign, the policy and where sjs keeps its state'],
    ['sjs doctor --json | jq .isReady', 'for a script'],
  ],
  usage: '',
  positionals: [0, 0],
  async run(_input, { sjs, output, tapSignals }) {
    const report = await sjs.doctor({ signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(report);
    const { out } = output;
    const marks = { ok: out.green('ok     '), warning: out.yellow('warning'), failed: out.red('failed ') };
    for (const { name, status, message, next } of report.checks) {
      if (output.quiet && status === 'ok') continue;
      await output.print(`${marks[status]}  ${cleanLine(name)}: ${cleanLine(message)}`);
      if (next !== null) await output.print(`         next: ${cleanLine(next)}`);
    }
    return report.isReady ? 0 : 1;
  },
};
