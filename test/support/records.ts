import { sha256 } from '../../src/model/digest.js';
import type { RunRecord } from '../../src/model/record.js';
import type { IndexEntry } from '../../src/model/sealed-image.js';

/** A ULID by number: later numbers sort later. */
export function makeId(number: number): string {
  return `01J${number.toString(8).padStart(23, '0')}`;
}

/** A record that succeeded and printed nothing. */
export function makeRecord(overrides: Partial<RunRecord> = {}): RunRecord {
  return {
    formatVersion: 1,
    id: makeId(1),
    tag: 'sjs/job:1.0.0-0123456789ab',
    seal: sha256('seal'),
    state: 'succeeded',
    exitCode: 0,
    signal: null,
    oomKilled: false,
    createdAt: '2026-01-02T03:04:05.000Z',
    startedAt: '2026-01-02T03:04:05.100Z',
    finishedAt: '2026-01-02T03:04:06.100Z',
    durationMs: 1000,
    args: ['one'],
    env: { TZ: 'UTC' },
    secrets: {},
    stdin: null,
    stdout: { digest: sha256(''), bytes: 0, truncated: false },
    stderr: { digest: sha256(''), bytes: 0, truncated: false },
    artifacts: [],
    skippedArtifacts: [],
    limits: {
      milliCpu: 1000,
      memoryBytes: 256 * 1024 ** 2,
      pids: 64,
      files: 1024,
      timeoutMs: 30_000,
      outputBytes: 1024 ** 2,
    },
    usage: { cpuMs: 12, peakMemoryBytes: 1024 },
    network: { mode: 'none', connections: [] },
    engine: {
      name: 'docker',
      version: '28.0.0',
      runtime: 'runc',
      runtimeVersion: '1.2.0',
      kernel: '6.1.0',
      warnings: [],
    },
    seccompDigest: sha256('seccomp'),
    policyDigest: sha256('policy'),
    sjsVersion: '0.1.0',
    owner: { bootId: 'boot', pid: 1, startTime: '1', home: '/home' },
    replayOf: null,
    error: null,
    ...overrides,
  };
}

/** The same before it ran. */
export function makeOpenRecord(overrides: Partial<RunRecord> = {}): RunRecord {
  return makeRecord({
    state: 'created',
    exitCode: null,
    oomKilled: null,
    startedAt: null,
    finishedAt: null,
    durationMs: null,
    stdout: null,
    stderr: null,
    usage: null,
    ...overrides,
  });
}

/** An index entry; its seal and inputs come from the given word. */
export function makeEntry(word: string, overrides: Partial<IndexEntry> = {}): IndexEntry {
  return {
    formatVersion: 1,
    seal: sha256(`seal ${word}`),
    tag: `sjs/${word}:1.0.0-0123456789ab`,
    name: word,
    version: '1.0.0',
    imageId: sha256(`image ${word}`),
    inputs: sha256(`inputs ${word}`),
    base: {
      image: 'registry.example.com/base/node',
      digest: sha256('index'),
      manifestDigest: sha256('manifest'),
      version: '24.1.0',
    },
    createdAt: '2026-01-02T03:04:05.000Z',
    ...overrides,
  };
}
