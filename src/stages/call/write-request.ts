import { createHash } from 'node:crypto';
import type { Call } from '../../model/call.js';

/** Marks the answer of a run, so that nothing else that its program writes can be taken for one. */
export const nonceOf = (runId: string): string =>
  createHash('sha256').update(`sjs answer\0${runId}`).digest('hex').slice(0, 32);

/** What stands ahead of the arguments of a call: see src/guest/call/main.ts. */
export const writeCall = (runId: string, call: Call, argumentBytes: number): Uint8Array =>
  frame({ kind: 'call', nonce: nonceOf(runId), export: call.export, bytes: argumentBytes });

/** What stands ahead of code, and what it is given. */
export const writeCode = (runId: string): Uint8Array => frame({ kind: 'code', nonce: nonceOf(runId) });

/** What tells a container that was started ahead to start its program; what follows is that program's stdin. */
export const writeRun = (args: readonly string[]): Uint8Array => frame({ kind: 'run', args });

function frame(value: object): Uint8Array {
  const json = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json]);
}
