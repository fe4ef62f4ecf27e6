import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { createFileRecordStore } from '../../src/adapters/store/file-record-store.js';
import { parseRecord } from '../../src/adapters/store/record-shape.js';
import { sha256 } from '../../src/model/digest.js';
import { RUN_STATES, type RunRecord } from '../../src/model/record.js';
import { createUlid, isUlid, timeOfUlid } from '../../src/model/ulid.js';
import type { RecordStore } from '../../src/ports/record-store.js';
import { readLock } from '../../src/stages/lock/lock-file.js';
import {
  anyJson,
  anyText,
  attempt,
  attemptAsync,
  check,
  DEADLINE_MS,
  mutated,
  mutatedText,
  toJson,
} from '../support/property.js';
import { makeEntry, makeId, makeRecord } from '../support/records.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();

const map = fc
  .array(fc.tuple(anyText, anyText), { maxLength: 2 })
  .map((entries) => Object.fromEntries(entries) as Record<string, string>);
const digest = fc.constantFrom(sha256('a'), sha256('b'));
const time = fc
  .date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true })
  .map((date) => date.toISOString());
const stream = fc.option(fc.record({ digest, bytes: fc.nat(), truncated: fc.boolean() }));

const record: fc.Arbitrary<RunRecord> = fc
  .record({
    tag: anyText,
    seal: digest,
    state: fc.constantFrom(...RUN_STATES),
    exitCode: fc.option(fc.nat(255)),
    signal: fc.option(fc.constant('SIGKILL')),
    oomKilled: fc.option(fc.boolean()),
    startedAt: fc.option(time),
    finishedAt: fc.option(time),
    durationMs: fc.option(fc.nat()),
    args: fc.array(anyText, { maxLength: 2 }),
    env: map,
    secrets: map,
    stdin: stream,
    stdout: stream,
    artifacts: fc.array(fc.record({ path: anyText, digest, bytes: fc.nat() }), { maxLength: 2 }),
    skippedArtifacts: fc.array(fc.record({ path: anyText, reason: anyText }), { maxLength: 2 }),
    usage: fc.option(fc.record({ cpuMs: fc.nat(), peakMemoryBytes: fc.nat() })),
    error: fc.option(fc.record({ code: anyText, message: anyText })),
  })
  .map((fields) => makeRecord(fields));

const damaged = fc.oneof(
  mutated(record).map(toJson),
  mutatedText(record.map(toJson), ['{', '}', '"', ',', 'null', '\0', '1e999', '"state":"created"']),
  // A write that was cut anywhere, and a disk that gives zeros.
  fc.tuple(record.map(toJson), fc.nat()).map(([text, at]) => text.slice(0, at % text.length)),
  fc
    .tuple(record.map(toJson), fc.nat())
    .map(([text, at]) => text.slice(0, at % text.length).padEnd(text.length, '\0')),
  anyJson.map(toJson),
  anyText,
);

let home = '';
let folder = '';
let store: RecordStore;
const good = [makeRecord({ id: makeId(2) }), makeRecord({ id: makeId(3), state: 'failed', exitCode: 1 })];
const fileOf = (id: string): string => join(home, 'runs', `${id}.json`);
beforeAll(async () => {
  folder = await makeFolder();
  home = join(folder, 'sjs');
  store = createFileRecordStore(home);
  for (const one of good) await store.saveRecord(one);
  await store.saveImage(makeEntry('good'));
});

test(
  'a record is read as it was written',
  () =>
    check(
      fc.property(record, (one) => {
        const read = attempt(() => parseRecord(`${JSON.stringify(one)}\n`, '/p', one.id));
        assert.ok(!(read instanceof SjsError));
        assert.equal(JSON.stringify(read), JSON.stringify(one));
        const misplaced = attempt(() => parseRecord(JSON.stringify(one), '/p', makeId(9)));
        assert.equal(misplaced instanceof SjsError && misplaced.code, 'STORE_INVALID');
      }),
    ),
  DEADLINE_MS,
);

// Written to the file as a crash or another program would: saving syncs the disk, which 10,000 cases cannot wait for.
test(
  'a damaged record is an error with its path, or a record that can be kept, and the others are listed as before',
  () =>
    check(
      fc.asyncProperty(damaged, async (text) => {
        writeFileSync(fileOf(makeId(1)), text);
        const found = await attemptAsync(() => store.findRecord(makeId(1)));
        const invalid: string[] = [];
        const listed = await store.listRecords({ onInvalid: (path) => void invalid.push(path) });
        if (found instanceof SjsError) {
          assert.equal(found.code, 'STORE_INVALID');
          assert.ok(found.message.includes(fileOf(makeId(1))), found.message);
          assert.equal(invalid.join(), fileOf(makeId(1)));
          assert.equal(listed.map(({ id }) => id).join(), [makeId(3), makeId(2)].join());
        } else {
          assert.deepEqual(invalid, []);
          assert.equal(listed.map(({ id }) => id).join(), [makeId(3), makeId(2), makeId(1)].join());
          const numbers = [
            found.exitCode,
            found.durationMs,
            found.stdout?.bytes,
            found.usage?.cpuMs,
            ...Object.values(found.limits),
          ];
          assert.deepEqual(
            numbers.filter((one) => typeof one === 'number' && !Number.isFinite(one)),
            [],
          );
          assert.ok(!Number.isNaN(Date.parse(found.createdAt)), found.createdAt);
          assert.ok(RUN_STATES.includes(found.state), found.state);
        }
      }),
    ),
  DEADLINE_MS,
);

test(
  'a damaged entry of the index, or lock, is an error with its path or sound, and the others are listed as before',
  () => {
    const broken = makeEntry('broken');
    const lock = {
      lockVersion: 1,
      formatVersion: 1,
      base: {
        image: 'r.example/a',
        version: null,
        digest: sha256('d'),
        manifests: { 'linux/amd64': sha256('m') },
        signer: sha256('s'),
      },
      template: { name: 'node', digest: sha256('t') },
      packages: [],
    };
    const text = fc.oneof(
      mutated(fc.constantFrom(broken, lock)).map(toJson),
      mutatedText(fc.constantFrom(toJson(broken), toJson(lock)), ['{', '}', '"', ',', 'null', '1e999']),
      anyJson.map(toJson),
    );
    return check(
      fc.asyncProperty(text, async (content) => {
        const file = join(home, 'images', `${broken.seal.slice(7)}.json`);
        writeFileSync(file, content);
        const found = await attemptAsync(() => store.findImageBySeal(broken.seal));
        const names = (await store.listImages()).map(({ name }) => name);
        assert.ok(names.includes('good'), names.join());
        if (found instanceof SjsError) {
          assert.equal(found.code, 'STORE_INVALID');
          assert.ok(found.message.includes(file), found.message);
        } else assert.equal(found?.seal, broken.seal);
        writeFileSync(join(folder, 'sandbox.lock'), content);
        const read = await attemptAsync(() => readLock(folder));
        if (read instanceof SjsError) {
          assert.equal(read.code, 'LOCK_INVALID');
          assert.equal(read.location?.file, join(folder, 'sandbox.lock'));
        } else
          assert.deepEqual(
            Object.values(read?.base.manifests ?? {}).filter((one) => !/^sha256:[0-9a-f]{64}$/.test(one)),
            [],
          );
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'any word names a run, none or several: never a file outside',
  () =>
    check(
      fc.asyncProperty(
        fc.oneof(anyText, mutatedText(fc.constant(makeId(2)), ['..', '/', '\0', '*'])),
        async (word) => {
          const found = await attemptAsync(() => store.findRecord(word));
          if (found instanceof SjsError)
            assert.match(found.code, /^(RUN_NOT_FOUND|TARGET_AMBIGUOUS|STORE_INVALID)$/);
          else assert.ok(readFileSync(fileOf(found.id), 'utf8').includes(found.id), found.id);
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'ids sort as they were made, and say when',
  () =>
    check(
      fc.property(fc.nat(2 ** 31), fc.uint8Array({ minLength: 10, maxLength: 10 }), (later, random) => {
        const [one, other] = [createUlid(1_800_000_000_000 + later, random), createUlid(later, random)];
        assert.ok(isUlid(one) && isUlid(other) && one < other);
        assert.ok(timeOfUlid(one) >= 1_800_000_000_000 + later);
      }),
    ),
  DEADLINE_MS,
);
