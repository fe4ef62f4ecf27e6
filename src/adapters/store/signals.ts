import { randomBytes } from 'node:crypto';
import type { Clock } from '../../ports/clock.js';
import type { SignalRequest } from '../../ports/record-store.js';
import { createUlid, isUlid } from '../../model/ulid.js';
import type { HomeFolder } from './home-folder.js';

const FOLDER = 'signals';
const LONGEST_GRACE_MS = 24 * 3_600_000;

/** Requests to the owners of runs, in `signals/<run>.<ULID>`: the later of two for a run sorts later. */
export class SignalFiles {
  private readonly home: HomeFolder;
  private readonly clock: Pick<Clock, 'now'>;

  constructor(home: HomeFolder, clock: Pick<Clock, 'now'>) {
    this.home = home;
    this.clock = clock;
  }

  async send(runId: string, request: SignalRequest): Promise<void> {
    const name = `${runId}.${createUlid(this.clock.now(), randomBytes(10))}`;
    await this.home.write(FOLDER, name, JSON.stringify(request));
  }

  async take(runId: string): Promise<readonly SignalRequest[]> {
    const requests: SignalRequest[] = [];
    const names = this.home.list(FOLDER).filter((name) => name.startsWith(`${runId}.`));
    for (const name of names.sort()) {
      const content = await this.home.read(FOLDER, name);
      await this.home.remove(FOLDER, name);
      const request = content && parseRequest(content.toString());
      if (request) requests.push(request);
    }
    return requests;
  }

  /** Removes requests for runs that are over: nobody asks for them any more. */
  async removeStale(open: readonly string[]): Promise<void> {
    for (const name of this.home.list(FOLDER)) {
      const [runId] = name.split('.');
      if (isUlid(runId) && !open.includes(runId)) await this.home.remove(FOLDER, name);
    }
  }
}

/** What cannot be read asks for nothing. */
function parseRequest(text: string): SignalRequest | null {
  try {
    const { signal, graceMs } = JSON.parse(text) as Partial<SignalRequest>;
    if (typeof signal !== 'string' || !signal.startsWith('SIG')) return null;
    const isTime = typeof graceMs === 'number' && graceMs >= 0 && graceMs <= LONGEST_GRACE_MS;
    return { signal, ...(isTime && { graceMs }) };
  } catch {
    return null;
  }
}
