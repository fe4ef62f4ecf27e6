import type { Readable } from 'node:stream';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { fieldsOf } from '../../model/fields.js';
import type { Watched } from '../../ports/watched.js';
import { readLines } from './statistics.js';

/** What happens to a container after its start, and to the names of images. */
const EVENTS = JSON.stringify({
  type: ['container', 'image'],
  event: [
    ...['die', 'oom', 'kill', 'stop', 'pause', 'unpause', 'restart', 'update', 'rename', 'destroy'],
    ...['tag', 'untag', 'delete', 'load', 'import', 'pull'],
  ],
});
const RETRY_MS = 1_000;
const OVERLAP_S = 2;

/** The engine's events, heard as long as somebody watches something. */
export interface Changes {
  container(name: string): Watched;
  /** All of them together. */
  images(): Watched;
}

interface Entry {
  /** Null: the images. */
  readonly container: string | null;
  isSure: boolean;
  /** How often something happened to it. */
  changes: number;
}

/** One connection to the engine for all that is watched. */
export function createChanges(docker: Docker): Changes {
  const entries = new Set<Entry>();
  let isHeard = false;
  let listening: AbortController | null = null;

  const doubt = (isMeant: (entry: Entry) => boolean): void => {
    for (const entry of entries) {
      if (!isMeant(entry)) continue;
      entry.isSure = false;
      entry.changes += 1;
    }
  };
  const hear = (line: string): void => {
    const { Type, Actor } = fieldsOf(JSON.parse(line));
    const { name, oldName } = fieldsOf(fieldsOf(Actor)['Attributes']);
    if (Type !== 'container') return doubt(({ container }) => container === null);
    doubt(({ container }) => container === name || `/${container}` === oldName);
  };
  const listen = async (controller: AbortController): Promise<void> => {
    while (!controller.signal.aborted) {
      try {
        // The engine answers before it listens: what happened in between is told as well.
        const since = Math.floor(Date.now() / 1000) - OVERLAP_S;
        const query = { since, filters: EVENTS, abortSignal: controller.signal };
        const events = (await docker.getEvents(query)) as unknown as Readable & {
          socket?: { unref(): void };
        };
        events.socket?.unref();
        isHeard = true;
        for await (const line of readLines(events)) hear(line);
      } catch {
        // The engine went away, or said what is no event: until it is heard again nothing is sure.
      }
      if (listening !== controller && listening !== null) return;
      isHeard = false;
      doubt(() => true);
      if (!controller.signal.aborted) await delay(RETRY_MS, undefined, { ref: false });
    }
  };
  const watch = (container: string | null): Watched => {
    const entry: Entry = { container, isSure: false, changes: 0 };
    entries.add(entry);
    if (listening === null) void listen((listening = new AbortController()));
    return {
      begin() {
        const [wasHeard, { changes }] = [isHeard, entry];
        return () => void (entry.isSure = wasHeard && isHeard && entry.changes === changes);
      },
      async isUnchanged() {
        // What the engine has said already is read by the second turn: the first may begin behind where that is done.
        await setImmediate();
        await setImmediate();
        return entry.isSure;
      },
      close() {
        entries.delete(entry);
        if (entries.size > 0) return;
        isHeard = false;
        listening?.abort();
        listening = null;
      },
    };
  };
  return { container: (name) => watch(name), images: () => watch(null) };
}
