import { readFileSync, symlinkSync } from 'node:fs';
import { lstat, readlink, stat, symlink } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { isErrno, SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { isFinished, type RunRecord } from '../../model/record.js';
import { isUlid } from '../../model/ulid.js';
import type { RecordQuery } from '../../ports/record-store.js';
import type { HomeFolder } from './home-folder.js';
import { parseRecord } from './record-shape.js';
import { describeStoreError } from './store-error.js';
import { syncFolder } from './sync-queue.js';
import { createTempName, judgeTempOwner } from './temp-name.js';

const RUNS = 'runs';
const OPEN = 'open';
const SUFFIX = '.json';
/** Files read between two turns of the event loop; reading them in one go is six times faster than one by one. */
const BATCH = 64;
const DAY_MS = 24 * 3_600_000;

/**
 * Records in `runs/<ULID>.json`; the unfinished ones also have a marker in `open/`: a link to nothing, which comes into
 * being together with the name of its maker.
 */
export class RecordFiles {
  private readonly home: HomeFolder;

  constructor(home: HomeFolder) {
    this.home = home;
  }

  /** A record in an open state is marked before it exists, and unmarked after its end is durable. */
  async save(record: RunRecord, first?: Promise<unknown>): Promise<void> {
    checkId(record.id);
    const finished = isFinished(record);
    const marking = finished ? Promise.resolve(false) : this.mark(record.id);
    marking.catch(() => undefined);
    try {
      const text = `${JSON.stringify(record)}\n`;
      await this.home.write(RUNS, `${record.id}${SUFFIX}`, text, 'replace', Promise.all([marking, first]));
    } catch (error) {
      if (await marking.catch(() => false)) await this.home.remove(OPEN, record.id).catch(() => undefined);
      throw error;
    }
    if (finished) await this.home.remove(OPEN, record.id);
  }

  /** As {@link save}, but on disk only when `durable` says so; see {@link HomeFolder.put}. */
  async put(record: RunRecord): Promise<{ readonly durable: Promise<void> }> {
    checkId(record.id);
    const finished = isFinished(record);
    const isNew = !finished && (await this.markAtOnce(record.id));
    const text = `${JSON.stringify(record)}\n`;
    const putting = this.home.put(RUNS, `${record.id}${SUFFIX}`, text, 'soon');
    const { durable } = await putting.catch(async (error: unknown) => {
      if (isNew) await this.home.remove(OPEN, record.id).catch(() => undefined);
      throw error;
    });
    return { durable: finished ? durable.then(() => this.home.remove(OPEN, record.id)) : durable };
  }

  /** Whether the marker is a new one. */
  private async markAtOnce(id: string): Promise<boolean> {
    const path = this.home.at(OPEN, id);
    const maker = await createTempName();
    try {
      symlinkSync(maker, path);
      return true;
    } catch (cause) {
      if (isErrno(cause, 'EEXIST')) return false;
      if (!isErrno(cause, 'ENOENT')) throw describeStoreError(cause, 'written', path);
      await this.home.makeFolder(OPEN);
      return this.markAtOnce(id);
    }
  }

  /** Whether the marker is a new one. */
  private async mark(id: string): Promise<boolean> {
    const folder = await this.home.makeFolder(OPEN);
    const path = this.home.at(OPEN, id);
    try {
      await symlink(await createTempName(), path);
      await syncFolder(folder);
      return true;
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw describeStoreError(cause, 'written', path);
      return false;
    }
  }

  async find(idOrPrefix: string): Promise<RunRecord> {
    const prefix = idOrPrefix.toUpperCase();
    if (!/^[0-9A-HJKMNP-TV-Z]{6,26}$/.test(prefix)) throw notFound(idOrPrefix);
    const ids = isUlid(prefix)
      ? [prefix]
      : this.listNames()
          .filter((name) => name.startsWith(prefix))
          .map(idOf)
          .sort();
    const id = ids[0];
    if (ids.length > 1) {
      const shown = ids.slice(-8).reverse().join(', ');
      throw new SjsError('TARGET_AMBIGUOUS', `${prefix} begins the ids of ${ids.length} runs: ${shown}`, {
        next: 'give more of the id',
      });
    }
    const record = id === undefined ? null : await this.read(id);
    if (!record) throw notFound(idOrPrefix);
    return record;
  }

  private async read(id: string): Promise<RunRecord | null> {
    this.home.check();
    const content = await this.home.read(RUNS, `${id}${SUFFIX}`);
    return content && parseRecord(content.toString(), this.home.at(RUNS, `${id}${SUFFIX}`), id);
  }

  /** Names of the files of all records, in no order. */
  private listNames(): readonly string[] {
    return this.home.list(RUNS).filter((name) => name.length === 26 + SUFFIX.length && name.endsWith(SUFFIX));
  }

  async list({
    limit = Infinity,
    seal,
    isOpen,
    where,
    onInvalid,
  }: RecordQuery): Promise<readonly RunRecord[]> {
    const found: RunRecord[] = [];
    let read = 0;
    const names = isOpen ? this.home.list(OPEN).map((id) => `${id}${SUFFIX}`) : this.listNames();
    for (const name of newestFirst(names)) {
      if (found.length >= limit) break;
      if ((read += 1) % BATCH === 0) await setImmediate();
      const id = idOf(name);
      if (!isUlid(id)) continue;
      const path = this.home.at(RUNS, name);
      try {
        const content = readFileSync(path, 'utf8');
        if (seal !== undefined && !content.includes(seal)) continue;
        const record = parseRecord(content, path, id);
        if (
          (seal === undefined || record.seal === seal) &&
          !(isOpen && isFinished(record)) &&
          (where?.(record) ?? true)
        )
          found.push(record);
      } catch (error) {
        // A record that somebody removed meanwhile is not a broken one.
        if (!isErrno(error, 'ENOENT')) onInvalid?.(path);
      }
    }
    return found;
  }

  /** Ids of unfinished records. A marker left by a crash after the end was written is cleared on the way. */
  async listOpen(): Promise<readonly string[]> {
    const open: string[] = [];
    for (const id of this.home.list(OPEN).filter(isUlid)) {
      const record = await this.read(id).catch((error: unknown) => {
        if (error instanceof SjsError && error.code === 'STORE_INVALID') return null;
        throw error;
      });
      if (record && isFinished(record)) await this.home.remove(OPEN, id);
      else if (record) open.push(id);
    }
    return open;
  }

  /** Clears markers that never got a record: their process died in between (of another boot or machine: a day ago). */
  async removeStaleMarkers(nowMs: number): Promise<void> {
    for (const id of this.home.list(OPEN).filter(isUlid)) {
      const path = this.home.at(OPEN, id);
      const [marker, maker] = await Promise.all([
        lstat(path).catch(() => null),
        readlink(path).catch(() => ''),
      ]);
      const owner = await judgeTempOwner(maker);
      if (!marker || owner === 'alive') continue;
      if (owner === 'unknown' && nowMs - marker.mtimeMs < DAY_MS) continue;
      // Looked for last: a maker that is dead by now cannot write it any more.
      const hasRecord = await stat(this.home.at(RUNS, `${id}${SUFFIX}`)).then(
        () => true,
        (error: unknown) => !isErrno(error, 'ENOENT'),
      );
      if (!hasRecord) await this.home.remove(OPEN, id);
    }
  }

  async remove(id: string): Promise<void> {
    checkId(id);
    this.home.check();
    await this.home.remove(RUNS, `${id}${SUFFIX}`);
    await this.home.remove(OPEN, id);
  }

  /**
   * Hex of every digest that any record mentions. Taken from the text, so that records of a newer format or broken
   * ones keep their contents too.
   * @param without ids of records that do not count
   */
  async listDigests(without: readonly string[] = []): Promise<ReadonlySet<string>> {
    const left = new Set(without.map((id) => `${id}${SUFFIX}`));
    const digests = new Set<string>();
    for (const [read, name] of this.home.list(RUNS).entries()) {
      if (read % BATCH === BATCH - 1) await setImmediate();
      if (left.has(name)) continue;
      const path = this.home.at(RUNS, name);
      try {
        for (const match of readFileSync(path, 'utf8').matchAll(/sha256:([0-9a-f]{64})/g)) {
          digests.add(match[1] ?? '');
        }
      } catch (cause) {
        // What cannot be read may refer to anything: then nothing is removed.
        if (!isErrno(cause, 'ENOENT')) throw describeStoreError(cause, 'read', path);
      }
    }
    return digests;
  }
}

const idOf = (name: string): string => name.slice(0, 26);

/** A list shows the newest few of very many, and to sort all of those takes longer than to read these. */
function* newestFirst(names: readonly string[]): Generator<string> {
  const newest = findLast(names, 64);
  yield* newest;
  const oldest = newest.at(-1) ?? '';
  yield* names
    .filter((name) => name < oldest)
    .sort()
    .reverse();
}

/** The last names in their order, the very last one first. */
function findLast(names: readonly string[], count: number): string[] {
  let last: string[] = [];
  let bound = '';
  for (const name of names) {
    if (name <= bound) continue;
    last.push(name);
    if (last.length < 2 * count) continue;
    last = last.sort().reverse().slice(0, count);
    bound = last.at(-1) ?? '';
  }
  return last.sort().reverse().slice(0, count);
}

function checkId(id: string): void {
  if (!isUlid(id))
    throw new SjsError('STORE_INVALID', `${cleanText(JSON.stringify(id))} is not the id of a run`);
}

function notFound(id: string): SjsError {
  return new SjsError('RUN_NOT_FOUND', `there is no run ${cleanText(JSON.stringify(id))}`, {
    next: 'sjs runs lists them; give the id or at least six characters of its beginning',
  });
}
