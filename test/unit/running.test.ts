import { describe, expect, test } from '@jest/globals';
import type { OutputPiece } from '../../src/api.js';
import { startRunning } from '../../src/running.js';

type Receivers = Parameters<Parameters<typeof startRunning>[1]>[0];

/** Something that is under way until it is ended, and writes what it is told to. */
function begin(given: Parameters<typeof startRunning>[0] = {}) {
  let receivers = null as Receivers | null;
  const { promise, resolve, reject } = promiseOf<string>();
  const running = startRunning(given, (output) => {
    receivers = output;
    return promise;
  });
  const write = (text: string, stream: 'onStdout' | 'onStderr' = 'onStdout') =>
    Promise.resolve(receivers?.[stream](Buffer.from(text)));
  return { running, write, resolve, reject };
}

function promiseOf<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}

const show = ({ stream, data }: OutputPiece): string => `${stream} ${Buffer.from(data).toString()}`;

describe('what is under way', () => {
  test('is a promise of how it ends, and its output is read until then', async () => {
    const { running, write, resolve } = begin();
    const found: string[] = [];
    const reading = (async () => {
      for await (const piece of running) found.push(show(piece));
    })();
    await write('a');
    await write('b', 'onStderr');
    resolve('over');
    await reading;
    expect(found).toEqual(['stdout a', 'stderr b']);
    expect(await running).toBe('over');
  });

  test('goes on no faster than its output is read', async () => {
    const { running, write } = begin();
    const pieces = running[Symbol.asyncIterator]();
    let isTaken = false;
    const writing = write('a').then(() => (isTaken = true));
    expect(await pieces.next()).toMatchObject({ value: { stream: 'stdout' } });
    await new Promise(setImmediate);
    expect(isTaken).toBe(false);
    void pieces.next();
    await writing;
    expect(isTaken).toBe(true);
  });

  test('is not held up when nobody reads, or nobody reads any more', async () => {
    const { running, write, resolve } = begin();
    await write('nobody');
    const reading = (async () => {
      for await (const piece of running) return show(piece);
      return '';
    })();
    await write('first');
    expect(await reading).toBe('stdout nobody');
    await write('second');
    resolve('over');
    expect(await running).toBe('over');
  });

  test('writes to receivers as well, and to every reader', async () => {
    const heard: string[] = [];
    const { running, write, resolve } = begin({ onStdout: (chunk) => void heard.push(String(chunk)) });
    const read = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const piece of running) found.push(show(piece));
      return found;
    };
    const readers = [read(), read()];
    await write('a');
    resolve('over');
    expect(await Promise.all(readers)).toEqual([['stdout a'], ['stdout a']]);
    expect(heard).toEqual(['a']);
  });

  test('keeps what came before for the first who reads, and nothing that somebody received', async () => {
    const readAll = async (running: AsyncIterable<OutputPiece>): Promise<string[]> => {
      const found: string[] = [];
      for await (const piece of running) found.push(`${show(piece)} ${piece.isBacklog}`);
      return found;
    };
    for (const [given, expected] of [
      [{}, ['stdout early true']],
      [{ onStdout: () => undefined }, []],
    ] as const) {
      const { running, write, resolve } = begin(given);
      await write('early');
      resolve('over');
      await running;
      expect(await readAll(running)).toEqual(expected);
      expect(await readAll(running)).toEqual([]);
    }
  });

  test('fails for who reads and for who waits', async () => {
    const { running, reject } = begin();
    const pieces = running[Symbol.asyncIterator]();
    const next = pieces.next();
    reject(new Error('no engine'));
    await expect(next).rejects.toThrow('no engine');
    await expect(running).rejects.toThrow('no engine');
  });
});
