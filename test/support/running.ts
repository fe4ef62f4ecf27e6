import type { Running } from '../../src/api.js';

/** What a faked library has under way: nobody reads its output. */
export const asRunning = <T>(ending: Promise<T>): Running<T> =>
  Object.assign(ending, {
    // eslint-disable-next-line @typescript-eslint/require-await
    async *[Symbol.asyncIterator]() {
      yield* [];
    },
  });
