import { writeFileSync } from 'node:fs';
import { Module } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createPieces } from './answer.js';
import { describeError } from './describe-error.js';
import { markOrder } from './mark-order.js';
import type { Request } from './request.js';
import { toJson } from './to-json.js';

/** What the code finds, and gives back. */
declare global {
  var data: unknown;
  var result: unknown;
}

const from = Buffer.from.bind(Buffer) as (text: string) => Buffer;
const stringify = JSON.stringify.bind(JSON);

/**
 * Makes ready for code that is to come. It runs as the main program, from a file, as Node would run it: it finds `data`, and
 * what it leaves in the global `result` is given back when it ends, however it ends.
 */
export function prepareCode(): (request: Extract<Request, { kind: 'code' }>) => Promise<void> {
  const { release } = process;
  const isNode = release.name === 'node' && !('Bun' in globalThis) && !('Deno' in globalThis);
  const file = `/tmp/code.${isNode ? 'js' : 'ts'}`;
  // Made now: it takes its time.
  void [process.stdout, process.stderr];
  return async ({ nonce, code, data }) => {
    const { send } = createPieces(nonce);
    const give = (type: string, value: unknown, toText: (value: unknown) => string | undefined): void => {
      const text = toText(value);
      if (text !== undefined) send(1, type, from(text));
    };
    const goOn = markOrder((fd) => send(fd, 'o', new Uint8Array()));
    Object.assign(globalThis, { data, result: undefined });
    const giveBack = (): void => {
      const { result } = globalThis;
      globalThis.result = undefined;
      try {
        if (result !== undefined) give('v', result, toJson);
      } catch (error) {
        give('x', describeError(error), stringify);
      }
    };
    process.on('exit', giveBack);
    // Deno tells of no exit that an error is the reason of.
    if ('Deno' in globalThis) {
      for (const failure of ['error', 'unhandledrejection']) {
        (globalThis as unknown as EventTarget).addEventListener(failure, () => {
          goOn(2);
          giveBack();
        });
      }
    }
    writeFileSync(file, code);
    process.argv = [process.argv[0] ?? 'node', file];
    if (isNode) return (Module as unknown as { runMain(): void }).runMain();
    try {
      await import(pathToFileURL(file).href);
    } catch (error) {
      goOn(2);
      throw error;
    }
  };
}
