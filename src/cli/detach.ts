import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { SjsError, type PublishedPort } from '../index.js';
import { errorDocument, errorOfDocument, toSjsError } from './error-report.js';

/** The descriptor on which the detached process reports, and hears that it was heard. */
const REPORT_FD = 3;

/** One line of what the other half says: a remark, or last how it began. */
interface Report {
  readonly say?: string;
  readonly id?: string;
  readonly ports?: readonly PublishedPort[];
  readonly isThere?: boolean;
  readonly error?: unknown;
}

/** What a half that goes on has begun: a run, or a pool that may have been there before. */
export interface Started {
  readonly ports?: readonly PublishedPort[];
  readonly isThere?: boolean;
}

/**
 * Starts this command line once more, in a session of its own and without terminal, input or output, and returns the id
 * of its run when the program runs. The other process goes on only after `heard`: killed before, this one leaves
 * nothing behind.
 * @param words the command line, options of sjs alone before `--`
 * @param onSaid gets what the other process says before
 * @throws SjsError what kept the run from starting
 */
export async function startDetached(
  words: readonly string[],
  onSaid: (line: string) => void = () => undefined,
): Promise<Required<Started> & { readonly id: string; readonly heard: () => Promise<void> }> {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const args = [...words.slice(0, end), '--detached', ...words.slice(end)];
  // Behind --, or Node would take an --env-file among them for its own.
  const child = spawn(process.execPath, ['--', process.argv[1] ?? '', ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const socket = child.stdio[REPORT_FD] as Socket;
  // One that has nothing left to do does not wait until it was heard.
  socket.on('error', () => undefined);
  const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
  const report = await Promise.race([readReport(socket, onSaid), failed]);
  if (report?.id !== undefined) {
    return {
      id: report.id,
      ports: report.ports ?? [],
      isThere: report.isThere ?? false,
      heard: async () => {
        await new Promise<void>((resolve) => socket.end('heard\n', () => resolve()));
        child.unref();
      },
    };
  }
  if (!report?.error) throw new SjsError('INTERNAL', 'the detached sjs ended without a word');
  throw errorOfDocument(report);
}

/** The first line that is no remark; null when the other side ends without one. */
async function readReport(socket: Socket, onSaid: (line: string) => void): Promise<Report | null> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const report = JSON.parse(line) as Report;
      if (report.say === undefined) return report;
      onSaid(report.say);
    }
  }
  return null;
}

/** The detached half: tells the half that was started how the run began. */
export interface DetachedReport {
  readonly say: (line: string) => void;
  readonly started: (id: string, begun: Started) => void;
  readonly failed: (error: unknown) => Promise<void>;
  /** Fires when the other half is gone before it has heard. */
  readonly unheard: AbortSignal;
}

/** @throws SjsError `USAGE` when nobody listens: the option is for sjs itself. */
export function openReport(): DetachedReport {
  const unheard = new AbortController();
  let isHeard = false;
  let socket: Socket;
  try {
    socket = new Socket({ fd: REPORT_FD, readable: true, writable: true });
  } catch (cause) {
    throw new SjsError('USAGE', '--detached is for sjs itself', { cause, next: 'use -d' });
  }
  socket.on('error', () => undefined);
  socket.on('data', () => (isHeard = true));
  socket.on('close', () => {
    if (!isHeard) unheard.abort(new SjsError('ABORTED', 'nobody waits for it to begin'));
  });
  const send = (document: object): Promise<void> =>
    new Promise((resolve) => socket.write(`${JSON.stringify(document)}\n`, () => resolve()));
  return {
    say: (line) => void send({ say: line }),
    started: (id, begun) => void send({ id, ...begun }),
    failed: (error) => send(errorDocument(toSjsError(error))),
    unheard: unheard.signal,
  };
}
