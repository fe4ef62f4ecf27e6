// Runs in the collector container: brings the regular files of /out to stdout once sjs says "go", after the program is
// dead. Node's builtins only; what it sends is checked again outside.
//
// Frames: length of a JSON header as 32 bit big endian, the header, then `bytes` bytes of content.
// Headers: {"path","bytes"}, {"skip","reason"}, {"end":true}. Arguments: most bytes, most files.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs';

const ROOT = Buffer.from('/out');
const SLASH = Buffer.from('/');
const MAX_DEPTH = 64;
const MAX_PATH_BYTES = 1024;

const [bytesText, filesText] = process.argv.slice(-2);
let bytesLeft = Number(bytesText);
let filesLeft = Number(filesText);
const chunk = Buffer.allocUnsafe(64 * 1024);
const pause = new Int32Array(new SharedArrayBuffer(4));

function send(data: Buffer): void {
  let sent = 0;
  while (sent < data.length) {
    try {
      sent += writeSync(1, data, sent);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 2);
    }
  }
}

function sendHeader(header: object): void {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  send(Buffer.concat([length, json]));
}

function skip(path: Buffer, reason: string): void {
  sendHeader({ skip: path.toString('utf8').slice(0, MAX_PATH_BYTES), reason });
}

function sendFile(path: Buffer, absolute: Buffer): void {
  const text = path.toString('utf8');
  if (!Buffer.from(text).equals(path)) return skip(path, 'its name is not UTF-8');
  // O_NONBLOCK: should it be a pipe after all, the open does not wait for a writer.
  const file = openSync(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return skip(path, 'not a regular file');
    if (filesLeft < 1) return skip(path, 'more files than /out may hold');
    if (stat.size > bytesLeft) return skip(path, 'more bytes than /out may hold');
    filesLeft -= 1;
    bytesLeft -= stat.size;
    sendHeader({ path: text, bytes: stat.size });
    for (let left = stat.size; left > 0;) {
      const read = readSync(file, chunk, 0, Math.min(left, chunk.length), null);
      if (read === 0) throw new Error(`${JSON.stringify(text)} became shorter`);
      send(chunk.subarray(0, read));
      left -= read;
    }
  } finally {
    closeSync(file);
  }
}

function walk(path: Buffer, depth: number): void {
  const absolute = path.length === 0 ? ROOT : Buffer.concat([ROOT, SLASH, path]);
  const names = readdirSync(absolute, { encoding: 'buffer' }).sort((a, b) => Buffer.compare(a, b));
  for (const name of names) {
    const child = path.length === 0 ? name : Buffer.concat([path, SLASH, name]);
    try {
      visit(child, depth);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // Anything else is a fault in the middle of a frame, which cannot be mended.
      if (code !== 'EACCES' && code !== 'ENAMETOOLONG' && code !== 'ELOOP') throw error;
      skip(child, code === 'EACCES' ? 'not readable' : 'its path is too long');
    }
  }
}

function visit(path: Buffer, depth: number): void {
  if (path.length > MAX_PATH_BYTES) return skip(path, 'its path is too long');
  const absolute = Buffer.concat([ROOT, SLASH, path]);
  const stat = lstatSync(absolute);
  if (stat.isDirectory()) {
    if (depth >= MAX_DEPTH) return skip(path, 'it lies too deep');
    return walk(path, depth + 1);
  }
  if (stat.isSymbolicLink()) return skip(path, 'a symbolic link');
  if (!stat.isFile()) return skip(path, 'not a regular file');
  sendFile(path, absolute);
}

process.stdin.once('data', () => {
  try {
    walk(Buffer.alloc(0), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    skip(Buffer.from('.'), 'not readable');
  }
  sendHeader({ end: true });
  process.exit(0);
});
// sjs is gone: nobody will collect.
process.stdin.once('end', () => process.exit(0));
