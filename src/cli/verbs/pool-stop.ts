import { isSealedTarget, SjsError } from '../../index.js';
import { forEachTarget } from '../each-target.js';
import { listPools, stopPool } from '../pool-client.js';
import type { PoolSocket } from '../pool-folder.js';
import type { PoolReport } from '../pool-server.js';
import { nameOfTag } from '../run-list.js';
import type { CliContext, Verb } from '../verb.js';
import { homeOf } from '../warm.js';

/** A pool that answers. */
interface StandingPool {
  readonly socket: PoolSocket;
  readonly report: PoolReport;
}

/** `sjs pool stop`. */
export const poolStopVerb: Verb = {
  examples: [
    ['sjs pool stop', 'the one there is'],
    ['sjs pool stop pricing', 'every pool of that name; a tag or seal is one of them'],
    ['sjs pool stop --all', 'all of them'],
  ],
  usage: '[target…]',
  positionals: [0, Infinity],
  options: { all: { short: 'a', describe: 'every pool of this SJS_HOME' } },
  notes:
    'Calls under way end as they would; those that come meanwhile go without a pool. Prints the tags when nothing is left.',
  async run(input, context) {
    const { output } = context;
    const { positionals } = input;
    if (input.has('all') && positionals.length > 0) {
      throw new SjsError('USAGE', `--all and ${positionals.join(' ')} exclude each other`, {
        next: 'leave one of them out',
      });
    }
    const pools = await findStanding(context);
    const stopAll = async (wanted: readonly StandingPool[]): Promise<readonly string[]> =>
      Promise.all(
        wanted.map(async ({ socket, report: { tag } }) => {
          await stopPool(socket);
          await output.print(tag);
          return tag;
        }),
      );
    if (positionals.length === 0) {
      if (!input.has('all') && pools.length > 1) {
        const tags = pools.map(({ report }) => report.tag).join(', ');
        throw new SjsError('USAGE', `there are ${pools.length} pools: ${tags}`, {
          next: 'name one of them, or give --all',
        });
      }
      if (pools.length === 0) output.note('there is no pool');
      const stopped = await stopAll(pools);
      if (output.json) await output.printJson({ stopped, errors: [] });
      return 0;
    }
    const { done, errors, status } = await forEachTarget(
      'pool stop',
      positionals,
      context,
      async (target) => {
        const wanted = await choose(target, pools, context);
        if (wanted.length > 0) return stopAll(wanted);
        throw new SjsError('TARGET_NOT_FOUND', `there is no pool of ${target}`, {
          next: 'sjs pool status lists them',
        });
      },
    );
    if (output.json) await output.printJson({ stopped: done.flat(), errors });
    return status;
  },
};

/** The pools that answer; of one that does not it says so. */
async function findStanding(context: CliContext): Promise<readonly StandingPool[]> {
  return (await listPools(homeOf(context))).flatMap(({ socket, report }) => {
    if (report) return [{ socket, report }];
    context.output.say(
      `sjs: the process ${socket.pid} of a pool does not answer: kill -9 ${socket.pid} ends it, and all it has`,
    );
    return [];
  });
}

/** By tag, seal or name, as a run finds its image; of a path those of the seal that it has now. */
async function choose(
  target: string,
  pools: readonly StandingPool[],
  { sjs }: CliContext,
): Promise<readonly StandingPool[]> {
  const found = isSealedTarget(target) ? target : (await sjs.findTarget(target)).entry.tag;
  return pools.filter(
    ({ report: { tag, seal } }) =>
      [tag, nameOfTag(tag), seal].includes(found) ||
      `sjs/${found}` === tag ||
      (/^(sha256:)?[0-9a-f]{7,}$/.test(found) && seal.startsWith(`sha256:${found.replace('sha256:', '')}`)),
  );
}
