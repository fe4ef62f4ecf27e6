// The reaper process: ends what outlives its deadline when the sjs that started it is gone or stopped. Started by
// reaper.ts.
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { systemClock } from '../../ports/clock.js';
import type { Claim, ReaperTask } from './reaper.js';

/** A container that was created and does not start within this time never will: its sjs is gone. */
const NEVER_STARTED_MS = 10_000;
const POLL_MS = 250;
/** How long an sjs that is there may take to end the program itself. */
const GRACE_MS = 2_000;
const CALL_MS = 5_000;
/** How long an engine that does not answer is asked again, beyond the run's own time. */
const PATIENCE_MS = 10 * 60_000;

interface Answer {
  readonly status: number;
  /** The engine's clock, milliseconds since the epoch. */
  readonly date: number;
  readonly body: string;
}

const given = JSON.parse(process.argv[2] ?? '') as ReaperTask;
/** Of a member of a pool: it ran before, and waited. */
const claim = process.argv[4] === undefined ? null : (JSON.parse(process.argv[4]) as Claim);
const task = { ...given, timeoutMs: claim?.timeoutMs ?? given.timeoutMs };
/**
 * The last word of the sjs. `late`: none yet, it may be stopped. `gone`: it was killed. `remove`: it lives, has recorded
 * what there is to record, and could not remove the rest. `done`: nothing is left.
 */
let word = process.argv[3] ?? 'gone';
/** When it was said, by the monotonic clock. */
let saidAt = systemClock.monotonic();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function call(method: string, path: string): Promise<Answer> {
  const { endpoint } = task;
  const options: RequestOptions = {
    method,
    path,
    agent: false,
    timeout: CALL_MS,
    headers: { Host: 'docker' },
  };
  return new Promise((resolve, reject) => {
    const onResponse = (response: IncomingMessage): void => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const date = Date.parse(response.headers.date ?? '') || Date.now();
        resolve({ status: response.statusCode ?? 0, date, body: Buffer.concat(chunks).toString('utf8') });
      });
    };
    const sending =
      endpoint.kind === 'unix'
        ? request({ ...options, socketPath: endpoint.socketPath }, onResponse)
        : requestTls(
            {
              ...options,
              host: endpoint.host,
              port: endpoint.port,
              ca: readFileSync(endpoint.caFile),
              cert: readFileSync(endpoint.certFile),
              key: readFileSync(endpoint.keyFile),
            },
            onResponse,
          );
    sending.on('timeout', () => sending.destroy(new Error('timeout')));
    sending.on('error', reject);
    sending.end();
  });
}

type State = { readonly kind: 'absent' | 'created' | 'ended' } | { readonly kind: 'running'; leftMs: number };

async function look(): Promise<State> {
  const { status, date, body } = await call('GET', `/containers/${task.sandbox}/json`);
  if (status === 404) return { kind: 'absent' };
  if (status !== 200) throw new Error(`inspect: ${status}`);
  const { State } = JSON.parse(body) as { State: { Status: string; StartedAt: string } };
  if (State.Status === 'created') return { kind: 'created' };
  if (!['running', 'paused', 'restarting'].includes(State.Status)) return { kind: 'ended' };
  const age = claim ? Date.now() - claim.at : date - Date.parse(State.StartedAt);
  return { kind: 'running', leftMs: Math.min(task.timeoutMs, task.timeoutMs - age) };
}

/** @throws when something is still there */
async function removeAll(): Promise<void> {
  for (const path of [
    `/containers/${task.sandbox}?force=1&v=1`,
    `/containers/${task.out}?force=1&v=1`,
    ...(task.gateway === null ? [] : [`/containers/${task.gateway}?force=1&v=1`]),
    `/volumes/${task.out}`,
    ...(task.network === null ? [] : [`/networks/${task.network}`]),
  ]) {
    const { status } = await call('DELETE', path);
    if (status >= 300 && status !== 404) throw new Error(`${path}: ${status}`);
  }
}

/** What the engine still makes of a call that it never answered comes late: it is looked for until it cannot any more. */
async function remove(): Promise<void> {
  const begin = systemClock.monotonic();
  for (
    let hasFailed = true;
    systemClock.monotonic() - begin < (hasFailed ? PATIENCE_MS : NEVER_STARTED_MS);
  ) {
    hasFailed = await removeAll().then(
      () => false,
      () => true,
    );
    await sleep(1000);
  }
}

async function reap(): Promise<void> {
  const begin = systemClock.monotonic();
  let deadline: number | null = null;
  while (
    (word === 'gone' || word === 'late') &&
    systemClock.monotonic() - begin < task.timeoutMs + PATIENCE_MS
  ) {
    try {
      const state = await look();
      const now = systemClock.monotonic();
      // Gone after it ran: recovery was here.
      if (state.kind === 'ended' || (state.kind === 'absent' && deadline !== null)) return;
      if (state.kind === 'running') {
        // The engine's clock says once how long it has run; from then on time is counted, not read.
        deadline ??= now + state.leftMs;
        const due = word === 'late' ? deadline + GRACE_MS : deadline;
        if (now >= due) await call('POST', `/containers/${task.sandbox}/kill?signal=SIGKILL`);
      } else if (word === 'gone' && now - saidAt >= NEVER_STARTED_MS) {
        return await removeAll();
      }
      const left = deadline === null ? POLL_MS : deadline - now;
      await sleep(Math.max(POLL_MS, Math.min(left, 1000)));
    } catch {
      await sleep(1000);
    }
  }
}

/** Takes the word of an sjs that goes on, or is killed after all. */
async function listen(): Promise<void> {
  let said = '';
  try {
    for await (const chunk of process.stdin) said += String(chunk);
  } catch {
    // A connection that breaks is one that ended.
  }
  const last = said.trim().split('\n').at(-1) || 'gone';
  word = last === 'recorded' ? 'remove' : last;
  saidAt = systemClock.monotonic();
}

const heard = word === 'late' ? listen() : null;
void reap()
  .then(() => heard)
  .then(() => (word === 'remove' ? remove() : undefined));
