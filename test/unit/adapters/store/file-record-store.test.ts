import {
  chmod,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createFileRecordStore } from '../../../../src/adapters/store/file-record-store.js';
import { hexOf, sha256 } from '../../../../src/model/digest.js';
import { createUlid } from '../../../../src/model/ulid.js';
import type { RunRecord } from '../../../../src/model/record.js';
import type { RecordQuery, RecordStore } from '../../../../src/ports/record-store.js';
import { makeEntry, makeId, makeOpenRecord, makeRecord } from '../../../support/records.js';

const HOUR_MS = 3_600_000;

let folder: string;
let home: string;
let now: number;
let store: RecordStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-store-'));
  home = join(folder, 'deep', 'sjs');
  now = Date.now();
  store = createFileRecordStore(home, { now: () => now });
});
afterEach(() => rm(folder, { recursive: true }));

const keep = async (text: string) => {
  const blob = await store.createBlob();
  await blob.write(Buffer.from(text));
  return (await blob.commit()).digest;
};
const blobPath = (text: string) => join(home, 'blobs/sha256', hexOf(sha256(text)));

describe('the folder', () => {
  test('is not made by reading', async () => {
    await store.listRecords({});
    await store.listOpen();
    await store.pruneBlobs();
    expect(await readdir(folder)).toEqual([]);
  });

  test('is for its owner alone, and so is everything in it', async () => {
    await store.saveRecord(makeOpenRecord());
    await store.saveImage(makeEntry('one'));
    await store.writeCache('rootfs', sha256('x'), {});
    await store.fingerprint('x');
    await keep('x');
    const entries = await readdir(home, { recursive: true, withFileTypes: true });
    expect(entries.length).toBeGreaterThan(10);
    // A marker of an open record is a link to nothing: it has no mode of its own.
    for (const entry of entries.filter((one) => !one.isSymbolicLink())) {
      const { mode } = await stat(join(entry.parentPath, entry.name));
      expect([entry.name, mode & 0o777]).toEqual([entry.name, entry.isDirectory() ? 0o700 : 0o600]);
    }
    expect(await readdir(join(home, 'tmp'))).toEqual([]);
  });

  test.each([0o770, 0o707, 0o777])(
    'that others can write to (%o) is refused, reading and writing',
    async (mode) => {
      await mkdir(home, { recursive: true });
      await chmod(home, mode);
      const refusal = { code: 'STORE_FAILED', next: `chmod go-w ${home}` };
      await expect(store.listRecords({})).rejects.toMatchObject(refusal);
      await expect(store.findRecord(makeId(1))).rejects.toMatchObject(refusal);
      await expect(store.saveRecord(makeRecord())).rejects.toMatchObject(refusal);
      await expect(store.findImageBySeal(sha256('x'))).rejects.toMatchObject(refusal);
      await expect(store.fingerprint('x')).rejects.toMatchObject(refusal);
      await expect(store.hasBlob(sha256('x'))).rejects.toMatchObject(refusal);
      await expect(buffer(store.openBlob(sha256('x')))).rejects.toMatchObject(refusal);
    },
  );

  test('of another user is refused', async () => {
    // The root folder's owner is not this user, or this user is root and a made-up owner is not.
    const foreign = process.getuid?.() === 0 ? home : '/';
    if (foreign === home) {
      await mkdir(home, { recursive: true });
      const { chown } = await import('node:fs/promises');
      await chown(home, 12345, 12345);
    }
    await expect(createFileRecordStore(foreign).listOpen()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('belongs to user'),
    });
  });

  test('that is a file, or not absolute, is refused', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(createFileRecordStore(join(folder, 'file')).listOpen()).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    expect(() => createFileRecordStore('relative')).toThrow('not an absolute path');
  });

  test('that cannot be written is an error with the path and what to do', async () => {
    await writeFile(join(folder, 'deep'), 'a file where a folder should be');
    await expect(store.saveRecord(makeRecord())).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining(folder),
      next: expect.stringContaining('SJS_HOME'),
    });
  });
});

describe('records', () => {
  const path = () => join(home, 'runs', `${makeId(1)}.json`);

  test.each([
    ['empty', '', 'is empty'],
    ['cut short', JSON.stringify(makeRecord()).slice(0, 200), 'is not JSON'],
    ['garbage', '\0\0\0\0', 'is not JSON'],
    ['of another kind', '[1]', 'is not a JSON object'],
    ['without a format', '{}', 'states no format version'],
    [
      'newer',
      JSON.stringify({ ...makeRecord(), formatVersion: 2 }),
      'is of format 2; this sjs reads up to format 1',
    ],
    [
      'lacking a limit',
      JSON.stringify({ ...makeRecord(), limits: { ...makeRecord().limits, timeoutMs: undefined } }),
      'limits is missing or wrong',
    ],
    ['lacking a field', JSON.stringify({ ...makeRecord(), limits: undefined }), 'limits is missing or wrong'],
    [
      'with a time that is none',
      JSON.stringify({ ...makeRecord(), createdAt: 'yesterday' }),
      'createdAt is missing or wrong',
    ],
    [
      'with a number beyond any',
      JSON.stringify(makeRecord()).replace('"durationMs":1000', '"durationMs":1e999'),
      'durationMs is missing or wrong',
    ],
    ['in a state unknown', JSON.stringify({ ...makeRecord(), state: 'fine' }), 'state is missing or wrong'],
    ['of another run', JSON.stringify(makeRecord({ id: makeId(2) })), 'holds the record of another run'],
    [
      'with a path for a digest',
      JSON.stringify({
        ...makeRecord(),
        stdout: { digest: 'sha256:../../../etc/passwd', bytes: 1, truncated: false },
      }),
      'stdout is missing or wrong',
    ],
  ])('a record that is %s names its path, and is passed over in listings', async (_name, content, why) => {
    await store.saveRecord(makeRecord());
    await store.saveRecord(makeRecord({ id: makeId(2) }));
    await writeFile(path(), content);
    const finding = store.findRecord(makeId(1));
    await expect(finding).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await expect(finding).rejects.toThrow(path());
    await expect(finding).rejects.toThrow(why);
    const invalid: string[] = [];
    const records = await store.listRecords({ onInvalid: (file) => invalid.push(file) });
    expect(records.map(({ id }) => id)).toEqual([makeId(2)]);
    expect(invalid).toEqual([path()]);
  });

  test('fields that this sjs does not know are left alone', async () => {
    await store.saveRecord(makeRecord());
    await writeFile(path(), JSON.stringify({ ...makeRecord(), later: true }));
    expect(await store.findRecord(makeId(1))).toHaveProperty('later', true);
  });

  test('other files in the folder are not records', async () => {
    await store.saveRecord(makeRecord());
    await writeFile(join(home, 'runs', 'notes.txt'), '');
    await writeFile(join(home, 'runs', `${'.'.repeat(26)}.json`), '');
    expect(await store.listRecords({ onInvalid: () => expect('never').toBe('called') })).toHaveLength(1);
  });

  test('very many records are listed newest first, however few are asked for', async () => {
    const numbers = Array.from({ length: 300 }, (_, index) => ((index * 7) % 300) + 1);
    await mkdir(join(home, 'runs'), { recursive: true });
    for (const number of numbers) {
      const record = makeRecord({ id: makeId(number), exitCode: number % 100 });
      await writeFile(join(home, 'runs', `${makeId(number)}.json`), JSON.stringify(record));
    }
    const newest = Array.from({ length: 300 }, (_, index) => makeId(300 - index));
    const idsOf = async (query: RecordQuery) => (await store.listRecords(query)).map(({ id }) => id);
    expect(await idsOf({})).toEqual(newest);
    expect(await idsOf({ limit: 3 })).toEqual(newest.slice(0, 3));
    const where = ({ exitCode }: RunRecord): boolean => exitCode === 7;
    expect(await idsOf({ where })).toEqual([makeId(207), makeId(107), makeId(7)]);
  });

  test('an open record is marked, a finished one is not', async () => {
    await store.saveRecord(makeOpenRecord());
    expect(await readdir(join(home, 'open'))).toEqual([makeId(1)]);
    await store.saveRecord(makeRecord());
    expect(await readdir(join(home, 'open'))).toEqual([]);
  });

  test('a marker whose record is finished is cleared; one without a record means nothing yet', async () => {
    await store.saveRecord(makeRecord());
    await mkdir(join(home, 'open'), { recursive: true });
    await writeFile(join(home, 'open', makeId(1)), '');
    await writeFile(join(home, 'open', makeId(2)), '');
    expect(await store.listOpen()).toEqual([]);
    expect(await readdir(join(home, 'open'))).toEqual([makeId(2)]);
  });

  test('a marker whose record could not be written goes at once, one of a dead process after a day', async () => {
    await store.saveRecord(makeRecord());
    await mkdir(join(home, 'runs', `${makeId(3)}.json`)); // rename cannot replace a folder
    await expect(store.saveRecord(makeOpenRecord({ id: makeId(3) }))).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    expect(await readdir(join(home, 'open'))).toEqual([]);
    expect(await readdir(join(home, 'tmp'))).toEqual([]);
    await writeFile(join(home, 'open', makeId(2)), '');
    await store.removeStaleTemp();
    expect(await readdir(join(home, 'open'))).toEqual([makeId(2)]);
    now += 25 * HOUR_MS;
    await store.removeStaleTemp();
    expect(await readdir(join(home, 'open'))).toEqual([]);
  });

  test('an open record that cannot be read does not stand in the way of the others', async () => {
    await store.saveRecord(makeOpenRecord({ id: makeId(1) }));
    await store.saveRecord(makeOpenRecord({ id: makeId(2) }));
    await writeFile(path(), '');
    expect(await store.listOpen()).toEqual([makeId(2)]);
  });
});

describe('contents', () => {
  test('are checked against their digest while reading', async () => {
    const digest = await keep('content');
    await writeFile(blobPath('content'), 'CONTENT');
    const chunks: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of store.openBlob(digest)) chunks.push(chunk as Buffer);
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'STORE_INVALID',
      message: expect.stringContaining(blobPath('content')),
    });
    expect(Buffer.concat(chunks).toString()).toBe('CONTENT');
  });

  test('committed again, broken content is whole again', async () => {
    const digest = await keep('content');
    await writeFile(blobPath('content'), 'CONTENT');
    await keep('content');
    expect((await buffer(store.openBlob(digest))).toString()).toBe('content');
  });

  test('a reader that stops early leaves nothing open', async () => {
    const digest = await keep('x'.repeat(1_000_000));
    const before = (await readdir('/proc/self/fd')).length;
    for (let i = 0; i < 20; i += 1) {
      for await (const _chunk of store.openBlob(digest)) break;
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect((await readdir('/proc/self/fd')).length).toBeLessThan(before + 5);
  });

  test('a digest that is none reaches no path', async () => {
    const evil = 'sha256:../../key' as never;
    await expect(store.hasBlob(evil)).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await expect(buffer(store.openBlob(evil))).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await expect(store.findImageBySeal(evil)).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await expect(store.readCache('../x', sha256('x'))).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });
});

describe('pruning', () => {
  test('removes what no record mentions once it is an hour old', async () => {
    await keep('orphan');
    expect(await store.pruneBlobs()).toEqual({ count: 0, bytes: 0 });
    now += HOUR_MS + 1;
    const kept = await keep('kept');
    await store.saveRecord(makeRecord({ stdout: { digest: kept, bytes: 4, truncated: false } }));
    now += HOUR_MS + 1;
    expect(await store.pruneBlobs()).toEqual({ count: 1, bytes: 6 });
    expect(await store.hasBlob(kept)).toBe(true);
    expect(await store.hasBlob(sha256('orphan'))).toBe(false);
  });

  test('counts the age from the last commit of the same content', async () => {
    await keep('again');
    now += HOUR_MS + 1;
    await keep('again');
    now += HOUR_MS - 1000;
    expect((await store.pruneBlobs()).count).toBe(0);
  });

  test('keeps what came after the start of the oldest open run', async () => {
    await store.saveRecord(makeOpenRecord({ id: createUlid(now, Buffer.alloc(10)) }));
    now += 1000;
    await keep('of the open run');
    now += 24 * HOUR_MS;
    expect((await store.pruneBlobs()).count).toBe(0);
  });

  test('keeps what records mention that this sjs cannot read', async () => {
    const digests = [await keep('newer'), await keep('cut')];
    await store.saveRecord(makeRecord());
    const runs = join(home, 'runs');
    await writeFile(join(runs, `${makeId(2)}.json`), JSON.stringify({ formatVersion: 9, x: digests[0] }));
    await writeFile(join(runs, `${makeId(3)}.json`), `{"stdout":{"digest":"${digests[1]}"`);
    now += 2 * HOUR_MS;
    expect((await store.pruneBlobs()).count).toBe(0);
  });
});

test('content that cannot be written fails whoever waits for it, and nobody else', async () => {
  await mkdir(join(home, 'blobs'), { recursive: true });
  await writeFile(join(home, 'blobs', 'sha256'), 'in the way');
  const blob = await store.createBlob();
  await blob.write(Buffer.from('some'));
  // A rejection that nobody handles would end this process.
  await expect(blob.commit()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  const other = await store.createBlob();
  await other.write(Buffer.from('other'));
  const { placed } = other.finish('soon');
  await expect(placed).rejects.toMatchObject({ code: 'STORE_FAILED' });
  await new Promise((resolve) => setTimeout(resolve, 50));
});

test('content that this process has put there just now is put there again when it is old, or gone', async () => {
  const put = async () => {
    const blob = await store.createBlob();
    await blob.write(Buffer.from('again'));
    await blob.finish('soon').kept;
    return Math.round((await stat(blobPath('again'))).mtimeMs);
  };
  const first = await put();
  now += 1_000;
  expect(await put()).toBe(first);
  await rm(blobPath('again'));
  expect(await put()).toBe(now);
  now += 61_000;
  expect(await put()).toBe(now);
});

describe('half-written files', () => {
  const leave = async (name: string, ageMs = 0) => {
    await mkdir(join(home, 'tmp'), { recursive: true });
    await chmod(home, 0o700);
    await writeFile(join(home, 'tmp', name), 'half');
    const time = (now - ageMs) / 1000;
    await utimes(join(home, 'tmp', name), time, time);
  };

  test('of this process stay, of dead ones go', async () => {
    const blob = await store.createBlob();
    await blob.write(Buffer.alloc(100_000));
    const [own] = await readdir(join(home, 'tmp'));
    const [boot, pid, start, random] = (own ?? '').split('-');
    expect(Number(pid)).toBe(process.pid);
    await leave(`${boot}-${pid}-${Number(start) + 1}-${random}`); // the pid of a process that came later
    await leave(`${boot}-4194305-1-${random}`); // beyond the highest pid
    expect(await store.removeStaleTemp()).toBe(2);
    expect(await readdir(join(home, 'tmp'))).toEqual([own]);
    await blob.commit();
  });

  test('of another boot or machine, or of nobody, go after a day', async () => {
    await leave(`${'0'.repeat(12)}-1-1-${'0'.repeat(12)}`);
    await leave('what is this');
    expect(await store.removeStaleTemp()).toBe(0);
    now += 24 * HOUR_MS + 1000;
    expect(await store.removeStaleTemp()).toBe(2);
  });
});

describe('index and key', () => {
  test('a broken index entry names its path, and is passed over in listings', async () => {
    const [good, bad] = [makeEntry('good'), makeEntry('bad')];
    await store.saveImage(good);
    await store.saveImage(bad);
    const path = join(home, 'images', `${hexOf(bad.seal)}.json`);
    for (const content of [
      '',
      '{',
      JSON.stringify({ ...bad, formatVersion: 2 }),
      JSON.stringify({ ...bad, tag: 1 }),
      JSON.stringify({ ...bad, tag: 'registry.example.com/mine:latest' }),
    ]) {
      await writeFile(path, content);
      const invalid: string[] = [];
      expect(await store.listImages((file) => invalid.push(file))).toEqual([good]);
      expect(invalid).toEqual([path]);
      await expect(store.findImageBySeal(bad.seal)).rejects.toMatchObject({
        code: 'STORE_INVALID',
        message: expect.stringContaining(path),
      });
    }
    await store.saveImage(bad);
    expect(await store.listImages()).toHaveLength(2);
  });

  test('an origin is one that came in by its signature: without that a run would ask nothing of it', async () => {
    const { seal, tag, base } = makeEntry('theirs');
    const imported = { at: '2026-01-01T00:00:00Z', trustedBy: 'signature' } as const;
    const origin = { seal, tag, base, imported };
    const rebased = makeEntry('rebased', { origin });
    await store.saveImage(rebased);
    expect(await store.findImageBySeal(rebased.seal)).toEqual(rebased);
    const path = join(home, 'images', `${hexOf(rebased.seal)}.json`);
    for (const changed of [
      { seal, tag, base },
      { ...origin, imported: { ...imported, trustedBy: 'hand' } },
      { ...origin, base: { ...base, digest: 'latest' } },
      { seal, tag, imported },
    ]) {
      await writeFile(path, JSON.stringify({ ...rebased, origin: changed }));
      await expect(store.findImageBySeal(rebased.seal)).rejects.toMatchObject({
        code: 'STORE_INVALID',
        message: expect.stringContaining('its origin is missing or wrong'),
      });
    }
  });

  test('an entry under the seal of another is not believed', async () => {
    const [one, other] = [makeEntry('one'), makeEntry('other')];
    await store.saveImage(one);
    await writeFile(join(home, 'images', `${hexOf(one.seal)}.json`), JSON.stringify(other));
    await expect(store.findImageBySeal(one.seal)).rejects.toMatchObject({ code: 'STORE_INVALID' });
  });

  test('a broken lookup by inputs is no answer; a broken cache holds nothing', async () => {
    const entry = makeEntry('one');
    await store.saveImage(entry);
    await writeFile(join(home, 'inputs', `${hexOf(entry.inputs)}.json`), '{"formatVersion":');
    expect(await store.findImageByInputs(entry.inputs)).toBeNull();
    await store.writeCache('rootfs', sha256('x'), [1]);
    await writeFile(join(home, 'cache/rootfs', `${hexOf(sha256('x'))}.json`), '[');
    expect(await store.readCache('rootfs', sha256('x'))).toBeNull();
  });

  test('a lookup by inputs goes with its seal; those of older inputs, and what was left behind, at the next prune', async () => {
    const keep = makeEntry('keep');
    const gone = makeEntry('gone');
    const names = async (): Promise<string[]> => (await readdir(join(home, 'inputs'))).sort();
    const enter = async (): Promise<void> => {
      await store.saveImage(gone);
      await store.saveImage({ ...gone, inputs: sha256('other inputs') });
    };
    await store.saveImage(keep);
    await enter();
    expect(await names()).toHaveLength(3);
    await store.removeImage(gone.seal);
    expect(await names()).toHaveLength(2);
    expect(await store.findImageByInputs(gone.inputs)).toBeNull();

    // As an sjs left them that was killed in between.
    await enter();
    await rm(join(home, 'images', `${hexOf(gone.seal)}.json`));
    await store.pruneBlobs({ without: [] });
    expect(await names()).toHaveLength(3);
    await store.pruneBlobs();
    expect(await names()).toEqual([`${hexOf(keep.inputs)}.json`]);
    expect(await store.findImageByInputs(keep.inputs)).toEqual(keep);

    // Of one that cannot be read nobody knows what it is of: a newer sjs may have written it.
    const newer = JSON.stringify({ ...gone, formatVersion: 99 });
    await writeFile(join(home, 'inputs', `${hexOf(gone.inputs)}.json`), newer);
    await store.pruneBlobs();
    expect(await names()).toHaveLength(2);
  });

  test('many at once make one key', async () => {
    const stores = Array.from({ length: 20 }, () => createFileRecordStore(home));
    const prints = await Promise.all(stores.map((one) => one.fingerprint('value')));
    expect(new Set(prints).size).toBe(1);
    expect((await readFile(join(home, 'key'))).length).toBe(32);
    expect(await readdir(join(home, 'tmp'))).toEqual([]);
  });

  test.each([0, 31])('a key of %i bytes is refused', async (length) => {
    await store.fingerprint('x');
    await writeFile(join(home, 'key'), Buffer.alloc(length));
    await expect(store.fingerprint('x')).rejects.toMatchObject({ code: 'STORE_INVALID' });
  });
});

describe('the lock of an entry', () => {
  const entry = makeEntry('locked');
  const lock = (): string => join(home, 'images', `${hexOf(entry.seal)}.lock`);
  const update = () => store.updateImage(entry.seal, (found) => found ?? entry);
  /** Who holds it while it is changed. */
  const holder = async (): Promise<string> => {
    const held: Promise<string>[] = [];
    await store.updateImage(entry.seal, (found) => {
      held.push(readlink(lock()));
      return found ?? entry;
    });
    return (await Promise.all(held)).join();
  };

  test('is gone afterwards, and no entry of the index', async () => {
    expect(await holder()).toMatch(new RegExp(`^[0-9a-f]{12}-${process.pid}-`));
    expect(await readdir(join(home, 'images'))).toEqual([`${hexOf(entry.seal)}.json`]);
  });

  test('of a dead process is taken away; of another machine when it is old', async () => {
    const [boot, , , random] = (await holder()).split('-');
    await symlink(`${boot}-4194305-1-${random}`, lock());
    await update();
    await symlink(`000000000000-1-1-${random}`, lock());
    const old = new Date(Date.now() - HOUR_MS);
    await lutimes(lock(), old, old);
    await update();
    await expect(readlink(lock())).rejects.toThrow(/ENOENT/);
  });

  test('of a living process is waited for', async () => {
    const own = await holder();
    await symlink(own, lock());
    const order: string[] = [];
    const waiting = update().then(() => order.push('changed'));
    await store.listImages();
    order.push('free');
    await rm(lock());
    await waiting;
    expect(order).toEqual(['free', 'changed']);
  });

  test('is waited for by who removes the entry: an update under way would write it again', async () => {
    const own = await holder();
    await symlink(own, lock());
    const removing = store.removeImage(entry.seal);
    // Time enough to remove it without.
    await delay(300);
    expect(await store.findImageBySeal(entry.seal)).toEqual(entry);
    await rm(lock());
    await removing;
    expect(await store.findImageBySeal(entry.seal)).toBeNull();
    expect(await readdir(join(home, 'images'))).toEqual([]);
  });
});
