import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { SjsError, type ErrorCode, type PublishedPort } from '../index.js';
import { errorDocument, toSjsError } from './error-report.js';

/** The descriptor on which the detached process reports, and hears that it was heard. */
const REPORT_FD = 3;

interface Report {
  readonly id?: string;
  readonly ports?: readonly PublishedPort[];
  readonly error?: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly cause: string | null;
    readonly next: string | null;
    readonly problems: SjsError['problems'];
  };
}

/**
 * Starts this command line once more, in a session of its own and without terminal, input or output, and returns the id
 * of its run when the program runs. The other process goes on only after `heard`: killed before, this one leaves
 * nothing behind.
 * @param words the command line, options of sjs alone before `--`
 * @throws SjsError what kept the run from starting
 */
export async function startDetached(
  words: readonly string[],
): Promise<{ id: string; ports: readonly PublishedPort[]; heard: () => Promise<void> }> {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const args = [...words.slice(0, end), '--detached', ...words.slice(end)];
  // Behind --, or Node would take an --env-file among them for its own.
  const child = spawn(process.execPath, ['--', process.argv[1] ?? '', ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const socket = child.stdio[REPORT_FD] as Socket;
  const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
  const report = await Promise.race([readReport(socket), failed]);
  if (report?.id !== undefined) {
    return {
      id: report.id,
      ports: report.ports ?? [],
      heard: async () => {
        await new Promise<void>((resolve) => socket.end('heard\n', () => resolve()));
        child.unref();
      },
    };
  }
  if (!report?.error) throw new SjsError('INTERNAL', 'the detached sjs ended without a word');
  const { code, message, cause, next, problems } = report.error;
  throw new SjsError(code, message, {
    problems,
    ...(cause !== null && { cause }),
    ...(next !== null && { next }),
  });
}

/** The first line; null when the other side ends without one. */
async function readReport(socket: Socket): Promise<Report | null> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8');
    if (text.includes('\n')) return JSON.parse(text) as Report;
  }
  return null;
}

/** The detached half: tells the half that was started how the run began. */
export interface DetachedReport {
  readonly started: (id: string, ports: readonly PublishedPort[]) => void;
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
    if (!isHeard) unheard.abort(new SjsError('ABORTED', 'nobody waits for the id of the run'));
  });
  const send = (document: object): Promise<void> =>
    new Promise((resolve) => socket.write(`${JSON.stringify(document)}\n`, () => resolve()));
  return {
    started: (id, ports) => void send({ id, ports }),
    failed: (error) => send(errorDocument(toSjsError(error))),
    unheard: unheard.signal,
  };
}
