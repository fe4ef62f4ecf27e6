import { writeSync } from 'node:fs';

/** One connection as it is told to sjs. */
export interface Connection {
  readonly at: string;
  readonly direction: 'out' | 'in';
  readonly name: string | null;
  readonly address: string | null;
  readonly port: number | null;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly verdict: 'allowed' | 'blocked';
  readonly reason: string | null;
}

const LONGEST_NAME = 253;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** One line of JSON; sjs checks it again. Synchronous, so that the last one is out before the process ends. */
export function say(message: object): void {
  const data = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < data.length;) {
    try {
      sent += writeSync(1, data, sent);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 2);
    }
  }
}

/**
 * Tells connections to sjs, up to a number: what is beyond is counted. Half of it is kept for what was allowed, so that
 * none of that can be hidden behind a flood of what was blocked.
 */
export class Report {
  private readonly most: number;
  private readonly tell: (message: object) => void;
  private readonly told = { allowed: 0, blocked: 0 };
  private omitted = 0;

  constructor(most: number, tell: (message: object) => void = say) {
    this.most = most;
    this.tell = tell;
  }

  add(connection: Connection): void {
    const { told, most } = this;
    const { verdict, name } = connection;
    if (told.allowed + told.blocked >= most || (verdict === 'blocked' && told.blocked >= most / 2)) {
      return this.omit();
    }
    told[verdict] += 1;
    this.tell({ connection: { ...connection, name: name?.slice(0, LONGEST_NAME) ?? null } });
  }

  /** Counts one that is not told. */
  omit(): void {
    this.omitted += 1;
  }

  end(): void {
    this.tell({ end: true, omitted: this.omitted });
  }
}
