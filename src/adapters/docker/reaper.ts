import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { SjsError } from '../../errors.js';
import type { Endpoint } from './endpoint.js';
import { outName, sandboxName } from './owner-labels.js';

/** What the reaper process is told, as JSON in its argument list: no secret is in it. */
export interface ReaperTask {
  readonly endpoint: Endpoint;
  readonly sandbox: string;
  /** Name of the collector, and of the volume. */
  readonly out: string;
  readonly timeoutMs: number;
}

/** The process that outlives sjs. */
export interface Reaper {
  /** Nothing is left to watch over: it ends. */
  dismiss(): void;
  /** Something may be left: it wakes up and looks. */
  wake(): void;
}

// Node is started only when this process is gone: until then it is a shell in `read`, which costs a millisecond. What
// sjs had inherited is closed: somebody may read such a pipe to its end.
const WAIT = 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; read -r _ && exit 0; exec "$0" "$@"';

/**
 * Starts the reaper of one run (SPEC §2.8), in a session of its own so that neither Ctrl-C nor the terminal's end
 * reaches it. Its pipe closes when this process ends, however it ends; without "done" before, it takes over.
 * @throws SjsError `CONTROL_MISSING` when it cannot be started: then nothing may run.
 */
export function startReaper(
  runId: string,
  timeoutMs: number,
  endpoint: Endpoint,
  program: { readonly nodePath: string; readonly reaperFile: string },
): Reaper {
  const task: ReaperTask = { endpoint, sandbox: sandboxName(runId), out: outName(runId), timeoutMs };
  const child = spawn('/bin/sh', ['-c', WAIT, program.nodePath, program.reaperFile, JSON.stringify(task)], {
    cwd: '/',
    env: {},
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Node reports a failed start here too; the missing pid has said so already.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  if (child.pid === undefined) {
    throw new SjsError('CONTROL_MISSING', 'the reaper cannot be started: /bin/sh does not run', {
      next: 'sjs doctor says what this machine lacks',
    });
  }
  child.unref();
  (child.stdin as unknown as Socket).unref();
  return { dismiss: () => void child.stdin.end('done\n'), wake: () => void child.stdin.end() };
}
