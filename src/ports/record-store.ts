import type { Readable } from 'node:stream';
import type { Digest } from '../model/digest.js';
import type { RunRecord, StreamRecord } from '../model/record.js';
import type { IndexEntry } from '../model/sealed-image.js';

/** When something is to be on disk: `soon` is in some milliseconds, together with what else comes until then. */
export type When = 'now' | 'soon';

/** Content on its way into the store; kept under its digest when committed, gone when not. */
export interface BlobWriter {
  /** What is little may be held for some milliseconds before others can read it. */
  write(chunk: Uint8Array): Promise<void>;
  /** Bytes written so far. */
  readonly bytes: number;
  /** Durable and named by its digest; once, however often the same content comes. */
  commit(): Promise<{ readonly digest: Digest; readonly bytes: number }>;
  /** {@link commit} for who has more to do meanwhile: what it will be is known at once. */
  finish(when?: When): {
    readonly digest: Digest;
    readonly bytes: number;
    /** Every process can read it. */
    readonly placed: Promise<void>;
    /** It is durable. */
    readonly kept: Promise<void>;
  };
  discard(): Promise<void>;
}

/** Which content of which run. */
export interface GrowingName {
  readonly runId: string;
  readonly stream: 'stdout' | 'stderr' | 'times';
}

/** Content that another process is still writing. */
export interface GrowingContent {
  /** What was written since the last call; empty when nothing was. */
  read(): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What the process that owns a run is asked to do with its program. */
export interface SignalRequest {
  readonly signal: NodeJS.Signals;
  /** How long the program may take to end, for a signal that asks for the end. */
  readonly graceMs?: number;
}

/**
 * What sjs keeps under SJS_HOME. Every write is complete or absent after a power cut, and there when it was said to be kept. `STORE_FAILED` with the path
 * when the disk refuses, `DISK_FULL` when it is full, `STORE_INVALID` for what is not readable.
 */
export interface RecordStore {
  /** Absolute path of SJS_HOME. */
  readonly home: string;
  /**
   * Writes or replaces one record.
   * @param first what it refers to, on its way; when that fails the record is not written
   */
  saveRecord(record: RunRecord, first?: Promise<unknown>): Promise<void>;
  /**
   * Writes or replaces one record, so that every process sees it when this is fulfilled; until `durable` is, a power cut
   * may take it, or leave an empty one. For what has milliseconds.
   */
  putRecord(record: RunRecord): Promise<{ readonly durable: Promise<void> }>;
  /** The record in a text from elsewhere; `STORE_INVALID` with that place for what is none, or of another id. */
  parseRecord(text: string, place: string, id: string): RunRecord;
  /** The record by full id or unique prefix of at least 6; `RUN_NOT_FOUND`, `TARGET_AMBIGUOUS`. */
  findRecord(idOrPrefix: string): Promise<RunRecord>;
  /** Newest first, at most `limit`; unreadable files are reported to `onInvalid` and passed over. */
  listRecords(query: RecordQuery): Promise<readonly RunRecord[]>;
  /** Ids of records in state created or running: what recovery has to look at. Cheap when there are none. */
  listOpen(): Promise<readonly string[]>;
  /** Removes a record and its receipt; its contents go with `pruneBlobs`. */
  removeRecord(id: string): Promise<void>;

  /** Keeps the signed receipt of a run beside its record, instead of one that was kept before. */
  saveReceipt(runId: string, text: string): Promise<void>;
  /** The receipt of a run as it was saved; null when none is kept. */
  readReceipt(runId: string): Promise<string | null>;
  /** Ids of the runs whose receipt is kept: their records, contents and images are needed to check it. */
  listReceipts(): Promise<readonly string[]>;

  /**
   * Asks the process that owns a run for something. No signal is sent to any process: who owns the run asks for its
   * requests while it runs.
   */
  sendSignal(runId: string, request: SignalRequest): Promise<void>;
  /** The requests for a run, oldest first. Each is handed over once. */
  takeSignals(runId: string): Promise<readonly SignalRequest[]>;

  /** A writer for content. By its name others can read it while it is written: the run and the stream. */
  createBlob(name?: GrowingName): Promise<BlobWriter>;
  /** Content that is being written under that name; null when there is none: not yet, or not any more. */
  openGrowing(name: GrowingName): Promise<GrowingContent | null>;
  /** Content by digest; `STORE_INVALID` when it is gone. The bytes are checked against the digest while reading. */
  openBlob(digest: Digest): Readable;
  hasBlob(digest: Digest): Promise<boolean>;
  /** Makes content that is there as young as when it was committed; false when it is not there. */
  renewBlob(digest: Digest): Promise<boolean>;
  /**
   * Removes contents that no record refers to; returns how many and how large. What is younger than an hour or than
   * the oldest open run stays: its record may still be on the way.
   */
  pruneBlobs(plan?: PrunePlan): Promise<{ readonly count: number; readonly bytes: number }>;

  /** Enters a seal in the index, whatever was there. */
  saveImage(entry: IndexEntry): Promise<void>;
  /**
   * Enters a seal as `change` has it, from what the index has by then: nobody else changes it meanwhile, in this process
   * or another. `change` gets null where there is no entry. Returns the new one.
   */
  updateImage(seal: Digest, change: (entry: IndexEntry | null) => IndexEntry): Promise<IndexEntry>;
  /** Newest first; unreadable files are reported to `onInvalid` and passed over. */
  listImages(onInvalid?: (path: string) => void): Promise<readonly IndexEntry[]>;
  findImageBySeal(seal: Digest): Promise<IndexEntry | null>;
  /** Keeps the signed statement of a seal beside its entry, instead of one that was kept before. */
  saveSealStatement(seal: Digest, text: string): Promise<void>;
  /** The signed statement of a seal as it was saved; null when none is kept. */
  readSealStatement(seal: Digest): Promise<string | null>;
  /** Where that lies, for people to check it by hand. */
  sealStatementFile(seal: Digest): string;
  findImageByInputs(inputs: Digest): Promise<IndexEntry | null>;
  /** Removes a seal from the index, with its signed statement. Lookups of older inputs go when blobs are pruned. */
  removeImage(seal: Digest): Promise<void>;

  /** HMAC-SHA256 of the value under a key that only this SJS_HOME has, as hex. */
  fingerprint(value: string): Promise<string>;
  /** A cached finding about immutable content, keyed by what it was computed from; null when there is none. */
  readCache(kind: string, key: Digest): Promise<unknown>;
  writeCache(kind: string, key: Digest, value: unknown): Promise<void>;

  /** Removes half-written files of processes that are gone; returns how many. For recovery. */
  removeStaleTemp(): Promise<number>;
}

/** A look at what pruning would do. */
export interface PrunePlan {
  /** Nothing is removed, and these records count as removed already. */
  readonly without?: readonly string[];
}

/** Which records to list. */
export interface RecordQuery {
  readonly limit?: number;
  readonly seal?: Digest;
  /** Only runs that are not over. */
  readonly isOpen?: true;
  /** Which records count. With a limit, reading stops as soon as it is reached. */
  readonly where?: (record: RunRecord) => boolean;
  readonly onInvalid?: (path: string) => void;
}

export type { RunRecord, StreamRecord };
