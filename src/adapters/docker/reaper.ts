import { spawn, type StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { SjsError } from '../../errors.js';
import { inheritedDescriptors } from '../process/inherited-descriptors.js';
import type { Endpoint } from './endpoint.js';
import { gatewayName, networkName, outName, sandboxName } from './owner-labels.js';

/** What the reaper process is told, as JSON in its argument list: no secret is in it. */
export interface ReaperTask {
  readonly endpoint: Endpoint;
  readonly sandbox: string;
  /** Name of the collector, and of the volume. */
  readonly out: string;
  /** Names of the gateway and of the network; null when the run has neither. */
  readonly gateway: string | null;
  readonly network: string | null;
  readonly timeoutMs: number;
}

/** The process that outlives sjs. */
export interface Reaper {
  /** Nothing is left to watch over: it ends. */
  dismiss(): void;
  /** Something may be left, and nobody needs it any more: it removes that, as soon as the engine lets it. */
  remove(): void;
}

/** How long after its limit a run has an sjs that does not act: it is stopped, as by Ctrl-Z. */
const LATE_SECONDS = 2;

// Node is started only when it is needed: until then a shell waits for a word, which costs a millisecond or two.
const WAIT = `command -v timeout >/dev/null && limit="timeout $1"
$limit sh -c 'read -r word; case $word in done) exit 0;; remove) exit 10;; *) exit 11;; esac'
case $? in 0) exit;; 10) word=remove;; 124) word=late;; *) word=gone;; esac
shift; exec "$0" "$@" "$word"`;

/**
 * Starts the reaper of one run (SPEC §2.8), in a session of its own so that neither Ctrl-C nor the terminal's end
 * reaches it. Its pipe closes when this process ends, however it ends; without "done" before, it takes over: it ends the
 * program at its limit and leaves the rest to recovery, or removes all when it is told to. It does so too when nothing
 * was said well after the limit: then this process is stopped.
 * @throws SjsError `CONTROL_MISSING` when it cannot be started: then nothing may run.
 */
export function startReaper(
  runId: string,
  hasNetwork: boolean,
  timeoutMs: number,
  endpoint: Endpoint,
  program: { readonly nodePath: string; readonly reaperFile: string },
): Reaper {
  const task: ReaperTask = {
    endpoint,
    sandbox: sandboxName(runId),
    out: outName(runId),
    gateway: hasNetwork ? gatewayName(runId) : null,
    network: hasNetwork ? networkName(runId) : null,
    timeoutMs,
  };
  const nothing = openSync('/dev/null', 'r');
  const stdio: StdioOptions = ['pipe', 'ignore', 'ignore'];
  // Somebody may read a pipe that sjs had inherited to its end: it must not stay open in here.
  for (const fd of inheritedDescriptors()) {
    while (stdio.length < fd) stdio.push('ignore');
    stdio[fd] = nothing;
  }
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      WAIT,
      program.nodePath,
      String(Math.ceil(timeoutMs / 1000) + LATE_SECONDS),
      program.reaperFile,
      JSON.stringify(task),
    ],
    {
      cwd: '/',
      env: {},
      detached: true,
      stdio,
    },
  );
  closeSync(nothing);
  const pipe = child.stdin as Socket | null;
  // Node reports a failed start here too; the missing pid has said so already.
  child.on('error', () => undefined);
  if (child.pid === undefined || pipe === null) {
    throw new SjsError('CONTROL_MISSING', 'the reaper cannot be started: /bin/sh does not run', {
      next: 'sjs doctor says what this machine lacks',
    });
  }
  pipe.on('error', () => undefined);
  pipe.unref();
  child.unref();
  return { dismiss: () => void pipe.end('done\n'), remove: () => void pipe.end('remove\n') };
}
