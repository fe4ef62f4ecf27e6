// Loaded by `node --require` ahead of the program: puts the secrets that stand ahead of stdin into the environment, and
// leaves every byte after them to the program. Root-owned in the image; Node's builtins only.
//
// Frame: length of the JSON as 32 bit big endian, then a JSON object of names and values.
import { readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const MARKER = 'SJS_SECRETS';
const MAX_BYTES = 4 * 1024 * 1024;

/** Reads exactly so many bytes, never one more: the rest belongs to the program. */
function readExactly(length: number): Buffer {
  const data = Buffer.alloc(length);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let filled = 0;
  while (filled < length) {
    try {
      const read = readSync(0, data, filled, length - filled, null);
      if (read === 0) throw new Error('stdin ended before the secrets were complete');
      filled += read;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 2);
    }
  }
  return data;
}

function readSecrets(): void {
  const length = readExactly(4).readUInt32BE(0);
  if (length > MAX_BYTES) throw new Error(`the secrets frame claims ${length} bytes`);
  const secrets: unknown = JSON.parse(readExactly(length).toString('utf8'));
  if (typeof secrets !== 'object' || secrets === null) throw new Error('the secrets frame is not an object');
  for (const [name, value] of Object.entries(secrets)) {
    if (typeof value !== 'string') throw new Error('a secret is not a string');
    process.env[name] = value;
  }
}

// Workers and forks inherit --require; the marker is in the first process alone and gone before it can fork.
if (isMainThread && process.env[MARKER] === 'frame') {
  delete process.env[MARKER];
  try {
    readSecrets();
  } catch (error) {
    // A syntax error of JSON quotes what it read, which would be a secret.
    const words = error instanceof SyntaxError ? 'the secrets frame is not JSON' : (error as Error).message;
    process.stderr.write(`sjs: the secrets could not be read: ${words}\n`);
    process.exit(125);
  }
}
