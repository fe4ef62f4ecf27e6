import { isDigest } from '../../model/digest.js';
import { isFields } from '../../model/fields.js';
import { MOST_DECLARED } from '../../model/network.js';
import { MOST_CONNECTIONS, RECORD_FORMAT_VERSION, RUN_STATES, type RunRecord } from '../../model/record.js';
import { isTimestamp } from '../../model/timestamp.js';
import { isUlid } from '../../model/ulid.js';
import { invalidFile } from './store-error.js';
import { parseJson } from '../../model/parse-json.js';

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string';
const count: Check = (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value);
const integer: Check = (value) => count(value) && Number.isSafeInteger(value);
const time: Check = isTimestamp;
const flag: Check = (value) => typeof value === 'boolean';
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check, most = Infinity): Check =>
  (value) =>
    Array.isArray(value) && value.length <= most && value.every(check);
const mapOf =
  (check: Check): Check =>
  (value) =>
    isFields(value) && Object.values(value).every(check);
const shape =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isFields(value) && Object.entries(checks).every(([key, check]) => check(value[key]));

const stream = orNull(shape({ digest: isDigest, bytes: integer, truncated: flag }));

const NO_NETWORK = shape({ mode: (value) => value === 'none', connections: listOf(text, 0) });
const ISOLATED = shape({
  mode: (value) => value === 'isolated',
  gateway: orNull(isDigest),
  ports: listOf(shape({ hostAddress: text, hostPort: integer, containerPort: integer }), MOST_DECLARED),
  connections: listOf(
    shape({
      at: time,
      direction: (value) => value === 'out' || value === 'in',
      name: orNull(text),
      address: orNull(text),
      port: orNull(integer),
      sentBytes: integer,
      receivedBytes: integer,
      verdict: (value) => value === 'allowed' || value === 'blocked',
      reason: orNull(text),
    }),
    MOST_CONNECTIONS,
  ),
  omittedConnections: orNull(integer),
});

/** What format 1 has. Fields beyond these are left alone: they may be younger than this sjs and do no harm. */
const FIELDS: Readonly<Record<string, Check>> = {
  id: isUlid,
  tag: text,
  seal: isDigest,
  state: (value) => RUN_STATES.includes(value as RunRecord['state']),
  exitCode: orNull(integer),
  signal: orNull(text),
  oomKilled: orNull(flag),
  createdAt: time,
  startedAt: orNull(time),
  finishedAt: orNull(time),
  durationMs: orNull(count),
  args: listOf(text),
  env: mapOf(text),
  secrets: mapOf(text),
  stdin: stream,
  stdout: stream,
  stderr: stream,
  outputTimes: optional(
    shape({
      everyMs: count,
      marks: listOf((mark) => listOf(count)(mark) && (mark as unknown[]).length === 3),
    }),
  ),
  artifacts: listOf(shape({ path: text, digest: isDigest, bytes: integer })),
  skippedArtifacts: listOf(shape({ path: text, reason: text })),
  limits: shape({
    milliCpu: count,
    memoryBytes: count,
    pids: count,
    files: count,
    timeoutMs: count,
    outputBytes: count,
  }),
  usage: orNull(shape({ cpuMs: count, peakMemoryBytes: count })),
  network: (value) => NO_NETWORK(value) || ISOLATED(value),
  engine: shape({
    name: text,
    version: text,
    runtime: text,
    runtimeVersion: orNull(text),
    kernel: orNull(text),
    warnings: listOf(text),
  }),
  seccompDigest: isDigest,
  policyDigest: isDigest,
  waivers: optional(listOf(shape({ rule: text, until: text, reason: text, from: text }))),
  sjsVersion: text,
  owner: shape({ bootId: text, pid: count, startTime: text, home: text }),
  replayOf: orNull(isUlid),
  determinism: optional(shape({ clock: orNull(time), seed: orNull(integer) })),
  importedSeal: optional(
    shape({ at: time, trustedBy: (value) => value === 'hand' || value === 'signature' }),
  ),
  imported: optional(shape({ at: time })),
  member: optional(isUlid),
  call: optional(
    shape({
      export: text,
      answer: orNull(
        shape({
          kind: (value) => value === 'value' || value === 'undefined' || value === 'error',
          digest: isDigest,
          bytes: integer,
        }),
      ),
    }),
  ),
  error: orNull(shape({ code: text, message: text })),
};

/**
 * The record in a file's text.
 * @throws SjsError `STORE_INVALID` naming the path: not JSON, of a newer format, of another id, or not a record.
 */
export function parseRecord(content: string, path: string, id: string): RunRecord {
  const value = parseObject(content, path);
  checkFormat(value, RECORD_FORMAT_VERSION, path);
  const wrong = Object.entries(FIELDS).find(([key, check]) => !check(value[key]))?.[0];
  if (wrong !== undefined) throw invalidFile(path, `is not a record: its ${wrong} is missing or wrong`);
  if (value.id !== id) throw invalidFile(path, `holds the record of another run`);
  return value as unknown as RunRecord;
}

/** The JSON object in a file's text. `STORE_INVALID` when there is none. */
export function parseObject(content: string, path: string): Record<string, unknown> {
  if (content.trim() === '') throw invalidFile(path, 'is empty');
  let value: unknown;
  try {
    value = parseJson(content);
  } catch {
    throw invalidFile(path, 'is not JSON');
  }
  if (!isFields(value)) throw invalidFile(path, 'is not a JSON object');
  return value;
}

/** Refuses a format newer than `known`. Older ones stay readable. */
export function checkFormat(value: Record<string, unknown>, known: number, path: string): void {
  const version = value.formatVersion;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw invalidFile(path, 'states no format version');
  }
  if (version > known) {
    throw invalidFile(
      path,
      `is of format ${version}; this sjs reads up to format ${known}`,
      'use the newer sjs that wrote it, or another SJS_HOME',
    );
  }
}
