import { listPools } from '../pool-client.js';
import { formatRelativeTime } from '../relative-time.js';
import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';
import { homeOf } from '../warm.js';

/** `sjs pool status`. */
export const poolStatusVerb: Verb = {
  examples: [
    ['sjs pool status', 'every pool, and how it stands'],
    ['sjs pool status --json', 'with its seal and the file of its warnings'],
  ],
  usage: '',
  positionals: [0, 0],
  async run(_input, context) {
    const { output } = context;
    const pools = await listPools(homeOf(context));
    if (output.json) {
      const documents = pools.map(
        ({ socket: { pid, digits }, report }) => report ?? { pid, digits, answers: false },
      );
      await output.printJson(documents);
      return 0;
    }
    if (pools.length === 0) output.note('there is no pool: sjs pool start <target> makes one');
    const rows = pools.map(({ socket, report }) =>
      report
        ? [
            report.tag,
            `${report.ready}/${report.size}`,
            ...[report.busy, report.waiting, report.calls].map(String),
            formatRelativeTime(report.since, Date.now()),
            String(report.pid),
          ]
        : [
            `…${socket.digits}`,
            ...Array.from({ length: 4 }, () => '?'),
            'does not answer',
            String(socket.pid),
          ],
    );
    await output.print(
      await formatTable(['tag', 'ready', 'busy', 'waiting', 'calls', 'started', 'pid'], rows, {
        width: output.stdout.columns,
        flexible: [0],
      }),
    );
    return 0;
  },
};
