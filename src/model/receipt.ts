import type { Digest } from './digest.js';
import type { ReplayVerdict, RunRecord } from './record.js';
import type { Statement } from './statement.js';

/** The predicate type of receipts. */
export const RECEIPT_TYPE = 'https://sjs.dev/receipt/v1';

/** What a receipt leaves out of a record: which process of which home it was, what only that home can read, notes. */
type Left = 'formatVersion' | 'owner' | 'outputTimes' | 'secrets' | 'imported' | 'replayOf';

/** Of a run that replayed another: which, and what came of it. */
export interface ReplayClaim {
  /** Id of the first run. */
  readonly of: string;
  /** Digest of the receipt of the first run that is kept beside its record; null when there is none. */
  readonly receipt: Digest | null;
  /** Whether the first run was elsewhere: then what it did is somebody else's word. */
  readonly isImported: boolean;
  /** Null when the record of the first run is gone. */
  readonly verdict: ReplayVerdict | null;
}

/**
 * What a receipt says of a finished run: its record as SPEC §8 has it, and what stands around that. Documented in
 * docs/reference/receipts.md.
 */
export interface ReceiptPredicate extends Omit<RunRecord, Left> {
  /** Manifest digest of the base; null when the index of the home no longer has the seal. */
  readonly base: Digest | null;
  /** Names alone. */
  readonly secrets: readonly string[];
  /** `stdin`, outputs and artifacts whose content was no longer kept when the receipt was made. */
  readonly notKept: readonly string[];
  /** Null for a run that was no replay. */
  readonly replay: ReplayClaim | null;
  /** RFC 3339: when the receipt was made. */
  readonly issuedAt: string;
}

/** The statement about one run. */
export type Receipt = Statement<ReceiptPredicate>;
