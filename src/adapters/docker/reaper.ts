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
$limit sh -c 'read -r word; test "$word" = recorded && { read -r word || word=remove; }; case $word in done) exit 0;; remove) exit 10;; *) exit 11;; esac'
case $? in 0) exit;; 10) word=remove;; 124) word=late;; *) word=gone;; esac
shift; exec "$0" "$@" "$word" $claim`;

// A member that nobody has claimed is removed at once. From its claim on it is a run.
const WAIT_FOR_CLAIM = `read -r word seconds claim
case $word in done) exit;; claimed) set -- "$seconds" "$@";; *) exec "$0" "$@" remove;; esac
${WAIT}`;

/** The reaper of a member of a pool. */
export interface MemberReaper extends Reaper {
  /** Whether it would still do all this. */
  isAlive(): boolean;
  /** It has its one run, which may take so long. */
  claim(timeoutMs: number): void;
  /** All is recorded of that run: from now on it is removed when this process ends. To be called once, after the claim. */
  recorded(): void;
}

/** When a member was claimed, by this machine's clock, and how long its run may take. */
export interface Claim {
  readonly at: number;
  readonly timeoutMs: number;
}

/** The programs that it takes. */
type Program = { readonly nodePath: string; readonly reaperFile: string };

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
  program: Program,
): Reaper {
  const task = taskOf(runId, hasNetwork, timeoutMs, endpoint);
  return startShell(WAIT, [secondsOf(timeoutMs)], task, program);
}

/**
 * Starts the reaper of a container that waits for its run, as {@link startReaper}. When this process ends before the
 * claim, it removes the container.
 */
export function startMemberReaper(memberId: string, endpoint: Endpoint, program: Program): MemberReaper {
  const task = taskOf(memberId, false, 0, endpoint);
  const { say, ...reaper } = startShell(WAIT_FOR_CLAIM, [], task, program);
  return {
    ...reaper,
    claim(timeoutMs) {
      const claim: Claim = { at: Date.now(), timeoutMs };
      say(`claimed ${secondsOf(timeoutMs)} ${JSON.stringify(claim)}\n`);
    },
    recorded: () => say('recorded\n'),
  };
}

const secondsOf = (timeoutMs: number): string => String(Math.ceil(timeoutMs / 1000) + LATE_SECONDS);

function taskOf(runId: string, hasNetwork: boolean, timeoutMs: number, endpoint: Endpoint): ReaperTask {
  return {
    endpoint,
    sandbox: sandboxName(runId),
    out: outName(runId),
    gateway: hasNetwork ? gatewayName(runId) : null,
    network: hasNetwork ? networkName(runId) : null,
    timeoutMs,
  };
}

interface Shell extends Reaper {
  readonly isAlive: () => boolean;
  readonly say: (line: string) => void;
}

function startShell(script: string, words: readonly string[], task: ReaperTask, program: Program): Shell {
  const nothing = openSync('/dev/null', 'r');
  const stdio: StdioOptions = ['pipe', 'ignore', 'ignore'];
  // Somebody may read a pipe that sjs had inherited to its end: it must not stay open in here.
  for (const fd of inheritedDescriptors()) {
    while (stdio.length < fd) stdio.push('ignore');
    stdio[fd] = nothing;
  }
  const child = spawn(
    '/bin/sh',
    ['-c', script, program.nodePath, ...words, program.reaperFile, JSON.stringify(task)],
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
  let isAlive = true;
  child.on('exit', () => void (isAlive = false));
  return {
    isAlive: () => isAlive,
    dismiss: () => void pipe.end('done\n'),
    remove: () => void pipe.end('remove\n'),
    say: (line) => void pipe.write(line),
  };
}
