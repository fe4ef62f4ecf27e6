import { setTimeout as delay } from 'node:timers/promises';

/** Waits until something is so, and gives back what it is; fails with its name after a generous time. */
export async function until<T>(name: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`it did not come to this: ${name}`);
    await delay(50);
  }
}
