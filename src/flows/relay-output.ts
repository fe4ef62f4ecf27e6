import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunOutput } from './execute-run.js';

/** What may wait for a slow receiver before the program has to wait too. */
const ROOM_BYTES = 1024 ** 2;

/** Passes a run's output on at the pace of whoever receives it, while what is kept of it goes its own way. */
export interface OutputRelay {
  readonly onStdout: (chunk: Uint8Array) => Promise<void>;
  readonly onStderr: (chunk: Uint8Array) => Promise<void>;
  /** The program is dead or dying: nothing waits for the receiver any more. */
  release(): void;
  /** Fulfilled when everything passed so far is delivered, or will never be. */
  delivered(): Promise<void>;
  /** Whether everything passed so far is delivered. */
  readonly isDelivered: boolean;
  /** What the receiver threw; from then on it gets nothing. */
  readonly failure: { readonly error: unknown } | null;
}

/** @param onFailed called once, when the receiver throws */
export function relayOutput(
  receiver: Pick<RunOutput, 'onStdout' | 'onStderr'>,
  onFailed: () => void,
): OutputRelay {
  let waitingBytes = 0;
  let isReleased = false;
  let failure: OutputRelay['failure'] = null;
  let last: Promise<void> = Promise.resolve();
  let wake = (): void => undefined;

  const deliver = async (send: RunOutput['onStdout'], chunk: Uint8Array): Promise<void> => {
    try {
      if (!failure) await send(chunk);
    } catch (error) {
      failure = { error };
      onFailed();
    }
    waitingBytes -= chunk.length;
    wake();
  };
  const pass = async (send: RunOutput['onStdout'], chunk: Uint8Array): Promise<void> => {
    waitingBytes += chunk.length;
    last = last.then(() => deliver(send, chunk));
    while (waitingBytes > ROOM_BYTES && !isReleased) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return {
    onStdout: (chunk) => pass(receiver.onStdout, chunk),
    onStderr: (chunk) => pass(receiver.onStderr, chunk),
    release() {
      isReleased = true;
      wake();
    },
    delivered: () => last,
    get isDelivered() {
      return waitingBytes === 0;
    },
    get failure() {
      return failure;
    },
  };
}

/** How long an interrupted run waits for a receiver that takes nothing. */
const INTERRUPTED_PATIENCE_MS = 1000;

/**
 * The run is recorded, and nothing of it is left: what waits now is this process alone, as any program does whose
 * output nobody takes. Not when it was told to end.
 */
export async function waitForReceiver(
  relay: OutputRelay,
  isInterrupted: boolean,
  abort?: AbortSignal,
): Promise<void> {
  if (relay.isDelivered) return;
  const controller = new AbortController();
  const { signal } = controller;
  const waits: Promise<unknown>[] = [relay.delivered()];
  if (isInterrupted) waits.push(delay(INTERRUPTED_PATIENCE_MS, undefined, { signal }));
  if (abort?.aborted) waits.push(Promise.resolve());
  else if (abort) waits.push(once(abort, 'abort', { signal }));
  try {
    await Promise.race(waits);
  } finally {
    controller.abort();
    await Promise.allSettled(waits.slice(1));
  }
}
