import { setTimeout as delay } from 'node:timers/promises';
import { SjsError } from '../../errors.js';
import type { RunEnd, RunSignals } from '../../ports/engine.js';
import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';

/** How long a program may take to end after the first interrupt. */
const GRACE_MS = 2_000;
const KILL_RETRIES = 3;
/** How long a program may take to end when it has answered. */
const ANSWERED_MS = 250;

const INTERRUPTS = new Set<NodeJS.Signals>(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']);
const FORWARDED = new Set<NodeJS.Signals>(['SIGUSR1', 'SIGUSR2']);

/** Ends a run for a reason, and knows which reason it was. */
export interface Ending {
  /** Why sjs ended the run; null when it did not. */
  readonly reason: Exclude<RunEnd, 'exited'> | null;
  /** The first signal that interrupted the run; null when none did. */
  readonly interruptedBy: NodeJS.Signals | null;
  /** Whether a signal that was to end the run met it alive; the engine may say so after the container has ended. */
  didReach(): Promise<boolean>;
  /** The container runs: the deadline begins, and signals that came before are passed on. */
  begin(timeoutMs: number): void;
  /** Kills for this reason; the first reason stands. */
  kill(reason: NonNullable<Ending['reason']>): void;
  /** The program has answered: what else it does does not count. */
  answered(): void;
  /** Stops timers and signals. */
  close(): void;
  /** Rejects when the engine could not kill the container. Never fulfilled. */
  readonly failed: Promise<never>;
}

/**
 * Watches over the end of one container: deadline, output limit, interrupts, abort.
 * @param onEnding called with each signal that is to end it
 */
export function watchEnding(
  client: DockerClient,
  name: string,
  signals: RunSignals,
  onEnding: () => void,
): Ending {
  const timers = new Set<NodeJS.Timeout>();
  const early: (readonly [signal: NodeJS.Signals, graceMs: number | undefined])[] = [];
  let reason: Ending['reason'] = null;
  let interruptedBy: Ending['interruptedBy'] = null;
  let interrupting: Promise<boolean> | null = null;
  let killing: Promise<boolean> | null = null;
  let isRunning = false;
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (fail = reject));
  failed.catch(() => undefined);

  const after = (ms: number, act: () => void): void => {
    // setTimeout takes at most 2^31 - 1 ms; longer ones would fire at once.
    timers.add(setTimeout(act, Math.min(ms, 2 ** 31 - 1)));
  };
  const send = async (signal: NodeJS.Signals): Promise<boolean> => {
    try {
      // For SIGKILL the engine answers when the container has ended.
      await client.call(`send ${signal}`, SLOW_CALL_MS, (abortSignal) =>
        client.docker.getContainer(name).kill({ signal, abortSignal }),
      );
      return true;
    } catch (error) {
      // Not running any more, or gone: the wait says so.
      if ([404, 409].includes(statusOf(error) ?? 0)) return false;
      throw error;
    }
  };
  const killWithRetries = async (): Promise<boolean> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const didMeet = await send('SIGKILL');
        after(SLOW_CALL_MS, () => fail(new SjsError('ENGINE_TIMEOUT', 'a killed container did not stop')));
        return didMeet;
      } catch (error) {
        if (attempt === KILL_RETRIES) {
          fail(error);
          return false;
        }
        await delay(200);
      }
    }
  };
  const killNow = (): void => {
    onEnding();
    killing ??= killWithRetries();
  };
  const receive = (signal: NodeJS.Signals, graceMs?: number): void => {
    if (!isRunning) {
      early.push([signal, graceMs]);
    } else if (signal === 'SIGKILL') {
      ending.kill('killed');
    } else if (INTERRUPTS.has(signal)) {
      // Ctrl-C twice is impatience; who asks from elsewhere says how long it may take.
      if (reason !== null) return graceMs === undefined ? killNow() : after(graceMs, killNow);
      reason = 'interrupted';
      interruptedBy = signal;
      onEnding();
      interrupting = send(signal).catch(() => {
        killNow();
        return false;
      });
      after(graceMs ?? GRACE_MS, killNow);
    } else if (FORWARDED.has(signal)) {
      send(signal).catch(() => undefined);
    }
  };
  const unsubscribe = signals.subscribe(receive);
  const ending = {
    get reason() {
      return reason;
    },
    get interruptedBy() {
      return interruptedBy;
    },
    didReach: async () => (await Promise.all([interrupting, killing])).includes(true),
    begin(timeoutMs: number) {
      isRunning = true;
      after(timeoutMs, () => ending.kill('timed-out'));
      early.forEach((one) => receive(...one));
    },
    kill(why: NonNullable<Ending['reason']>) {
      reason ??= why;
      killNow();
    },
    answered() {
      reason ??= 'answered';
      after(ANSWERED_MS, killNow);
    },
    close() {
      timers.forEach((timer) => clearTimeout(timer));
      unsubscribe();
    },
    failed,
  };
  return ending;
}
