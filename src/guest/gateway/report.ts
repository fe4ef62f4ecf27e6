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

/** Tells connections to sjs, up to a number: what is beyond is counted. */
export class Report {
  private readonly most: number;
  private told = 0;
  private omitted = 0;

  constructor(most: number) {
    this.most = most;
  }

  add(connection: Connection): void {
    this.told += 1;
    if (this.told > this.most) this.omitted += 1;
    else say({ connection: { ...connection, name: connection.name?.slice(0, LONGEST_NAME) ?? null } });
  }

  end(): void {
    say({ end: true, omitted: this.omitted });
  }
}
