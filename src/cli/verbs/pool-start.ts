import { randomBytes } from 'node:crypto';
import {
  createSjs,
  parseBytes,
  parseCpu,
  parseDuration,
  SjsError,
  type Pool,
  type Reporter,
} from '../../index.js';
import { openReport, startDetached, type DetachedReport } from '../detach.js';
import { digitsOf, listenAs, logFile, removeSocket, type PoolSocket } from '../pool-folder.js';
import { createPoolLog, type PoolLog } from '../pool-log.js';
import { readScene } from '../pool-scene.js';
import { createPoolServer } from '../pool-server.js';
import { LIMIT_OPTIONS, parseLimits } from '../run-request.js';
import { pathMeant } from '../target-request.js';
import { cleanLine } from '../terminal.js';
import type { CliContext, Verb, VerbInput } from '../verb.js';

/** `sjs pool start`: a process that goes on, and has containers ready for `--warm`. */
export const poolStartVerb: Verb = {
  examples: [
    [
      'sjs pool start pricing',
      'containers of a sealed image, started ahead; prints its tag when they are ready',
    ],
    ['sjs pool start ./pricing --size 4', 'a path is sealed first; four are kept ready'],
    ['sjs pool start pricing --preload', 'with the program loaded before the first call; for calls alone'],
    ["sjs pool start pricing && sjs call --warm pricing quote '{}'", 'what uses it'],
  ],
  usage: '<target>',
  positionals: [1, 1],
  options: {
    size: {
      value: 'N',
      describe: 'how many are kept ready; half of the CPUs, at most 4, when not given',
    },
    max: { value: 'N', describe: 'how many there are at most, those at work included; 32 when not given' },
    preload: { describe: 'load the program before there is a call; such a pool does not run it' },
    'idle-timeout': {
      value: 'TIME',
      describe: 'keep none ready after so long without a call; 5m when not given',
    },
    'memory-ceiling': {
      value: 'SIZE',
      describe: 'their memory limits together; half of this machine when not given',
    },
    'cpu-ceiling': { value: 'N', describe: 'their CPU limits together, as 4 or 500m' },
    ...LIMIT_OPTIONS,
    detached: { hidden: true, describe: 'the half that goes on' },
  },
  notes: `Each container has one call or run and is removed after it; another takes its place. One process keeps them, until sjs pool stop
or a signal ends it: then calls under way end as they would, and all is removed. Killed, it leaves nothing either.`,
  async run(input, context) {
    if (input.has('detached')) return keepPool(input, context);
    readOptions(input);
    const { output } = context;
    const { id, isThere, heard } = await startDetached(process.argv.slice(2), (line) =>
      output.say(cleanLine(line)),
    );
    if (isThere)
      output.note(
        `sjs: there is a pool of ${id} already, and it stays as it is: sjs pool stop ${id} ends it`,
      );
    if (output.json) await output.printJson({ tag: id, isNew: !isThere });
    await output.print(id);
    await heard();
    return 0;
  },
};

function readOptions(input: VerbInput) {
  const read = (
    option: string,
    parse: (text: string) => number | undefined,
    next: string,
  ): number | undefined => {
    const text = input.value(option);
    const amount = text === undefined ? undefined : parse(text);
    if (text === undefined || (amount !== undefined && amount >= 1)) return amount;
    throw new SjsError('USAGE', `--${option} ${JSON.stringify(text)} is not understood`, { next });
  };
  const count = (text: string): number | undefined => (/^[0-9]{1,6}$/.test(text) ? Number(text) : undefined);
  const [size, max] = ['size', 'max'].map((option) =>
    read(option, count, 'write a whole number of at least 1'),
  );
  const idleTimeoutMs = read('idle-timeout', parseDuration, 'write it as 30s, 5m or 1h');
  const memoryBytes = read('memory-ceiling', parseBytes, 'write it as 512Mi or 4Gi');
  const milliCpu = read('cpu-ceiling', parseCpu, 'write it as 4, 0.5 or 500m');
  return {
    preload: input.has('preload'),
    limits: parseLimits(input),
    ...(size !== undefined && { size }),
    ...(max !== undefined && { max }),
    ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(milliCpu !== undefined && { milliCpu }),
  };
}

/** The half that goes on: what it says goes to the half that was started, and later to a file. */
async function keepPool(input: VerbInput, context: CliContext): Promise<number> {
  const report = openReport();
  const { signals } = context.tapSignals();
  const abort = AbortSignal.any([signals.abort, report.unheard]);
  const said: { log: PoolLog | null } = { log: null };
  const policyFile = input.value('policy');
  const sjs = createSjs({
    reporter: reportTo(report, said),
    ...(policyFile !== undefined && { policyFile }),
  });
  const [target = ''] = input.positionals;
  let pool: Pool | null = null;
  let socket: PoolSocket | null = null;
  try {
    pool = await sjs.createPool({ target, ...readOptions(input), signals: { ...signals, abort } });
    const { tag } = pool;
    const { entry } = await sjs.findTarget(tag);
    const log = createPoolLog(logFile(sjs.home, digitsOf(tag)), Date.now);
    const stopping = new AbortController();
    let stopped: Promise<void> | null = null;
    const opened = pool;
    const close = async (): Promise<void> => {
      stopping.abort();
      if (socket) removeSocket(socket);
      server.close();
      await opened.close();
    };
    const stop = (): Promise<void> => (stopped ??= close());
    const { server, settled } = createPoolServer({
      pool,
      tag,
      seal: entry.seal,
      since: new Date().toISOString(),
      log: logFile(sjs.home, digitsOf(tag)),
      scene: readScene(context.env, policyFile),
      resolve: async (other) => (await sjs.findTarget(other).catch(() => null))?.entry.tag ?? null,
      stop,
      isStopping: () => stopping.signal.aborted,
    });
    socket = await listenAs(
      sjs.home,
      digitsOf(tag),
      `${process.pid}-${randomBytes(4).toString('hex')}.sock`,
      server,
    );
    if (!socket) {
      report.started(tag, { isThere: true });
      await pool.close();
      return 0;
    }
    log.remove();
    const ended = new Promise<void>((resolve) => {
      for (const signal of [abort, stopping.signal]) {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      }
    });
    await Promise.race([pool.ready(), ended]);
    said.log = log;
    // Whatever folder it was started in can go away.
    process.chdir('/');
    if (!abort.aborted) report.started(tag, {});
    await ended;
    await stop();
    await settled();
    log.remove();
    return 0;
  } catch (error) {
    if (socket) removeSocket(socket);
    await pool?.close();
    await report.failed(pathMeant(error, target));
    throw error;
  }
}

/** As `sjs run` says it; once the pool stands, what went wrong goes to its file. */
function reportTo(report: DetachedReport, said: { readonly log: PoolLog | null }): Reporter {
  return {
    step: (stage, message) => (said.log ? undefined : report.say(`${stage.padEnd(7)} ${message}`)),
    done: () => undefined,
    warn: (message) => (said.log ? said.log.write(message) : report.say(`warning ${message}`)),
    debug: () => undefined,
  };
}
