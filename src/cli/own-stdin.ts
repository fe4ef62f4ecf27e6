import { SjsError } from '../index.js';

/** What is taken of standard input as a whole, as code or as a secret. */
const MOST_BYTES = 100 * 1024 ** 2;

/** The standard input of this process, which only one can have. */
export interface OwnStdin {
  /** All of it. Throws `USAGE` when somebody has it already, or when it is too large. */
  read(by: string): Promise<Uint8Array>;
  /** Who has it; null as long as the program can. */
  readonly takenBy: string | null;
}

/** @param source where it comes from; opened when first read */
export function createOwnStdin(source: () => AsyncIterable<Uint8Array>): OwnStdin {
  let takenBy: string | null = null;
  return {
    async read(by) {
      if (takenBy !== null) {
        throw new SjsError('USAGE', `standard input is asked for twice: by ${takenBy} and by ${by}`, {
          next: 'give one of them in a file',
        });
      }
      takenBy = by;
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of source()) {
        bytes += chunk.length;
        if (bytes > MOST_BYTES) {
          throw new SjsError('USAGE', `standard input, read as ${by}, is larger than 100Mi`, {
            next: 'give it in a file',
          });
        }
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    },
    get takenBy() {
      return takenBy;
    },
  };
}
