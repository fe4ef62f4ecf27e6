import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { isDigest } from '../../model/digest.js';
import type { Receipt, ReceiptPredicate } from '../../model/receipt.js';
import { isFinished, NO_OWNER, RECORD_FORMAT_VERSION, type RunRecord } from '../../model/record.js';
import type { Statement } from '../../model/statement.js';
import { isTimestamp } from '../../model/timestamp.js';
import { isUlid } from '../../model/ulid.js';
import { subjectsOf, writeReceipt } from './write-receipt.js';

/** Reads a record, and refuses what is none. */
type ParseRecord = (text: string, place: string, id: string) => RunRecord;

/**
 * The receipt in a statement that verified: of the shape that sjs gives one, about the very things that it names.
 * @throws SjsError `STATEMENT_INVALID`.
 */
export function readReceipt(statement: Statement, parseRecord: ParseRecord): Receipt {
  const receipt = statement as Receipt;
  const { predicate } = receipt;
  try {
    const { base, secrets, notKept, replay, issuedAt, ...said } = predicate;
    const record = { ...said, secrets: {}, replayOf: replay?.of ?? null, owner: NO_OWNER };
    const text = JSON.stringify({ formatVersion: RECORD_FORMAT_VERSION, ...record });
    const run = parseRecord(text, 'the receipt', said.id);
    const isReceipt =
      isFinished(run) &&
      (base === null || isDigest(base)) &&
      [secrets, notKept].every(isTextList) &&
      isTimestamp(issuedAt) &&
      (replay === null ||
        (isUlid(replay.of) && typeof replay.isImported === 'boolean' && isVerdict(replay))) &&
      canonicalJson(statement.subject) === canonicalJson(subjectsOf(predicate));
    if (isReceipt) return receipt;
  } catch (cause) {
    throw invalid(cause);
  }
  throw invalid();
}

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

const isVerdict = ({ receipt, verdict }: NonNullable<ReceiptPredicate['replay']>): boolean =>
  (receipt === null || isDigest(receipt)) &&
  (verdict === null ||
    (typeof verdict.reproduced === 'boolean' &&
      [verdict.differences, verdict.environment, verdict.notCompared].every(
        (list: readonly { readonly field?: unknown }[]) =>
          Array.isArray(list) && list.every(({ field }) => typeof field === 'string'),
      )));

const invalid = (cause?: unknown): SjsError =>
  new SjsError('STATEMENT_INVALID', 'the statement is no receipt of a run as sjs writes them', {
    cause,
    next: 'ask whoever signed it for one that sjs receipt made',
  });

/**
 * What a receipt and the record of the same run here say differently; empty when they agree.
 * @param known what this home can say of the facts around the record: absent ones are not compared
 */
export function compareReceipt(
  { predicate }: Receipt,
  record: RunRecord,
  known: Partial<Pick<ReceiptPredicate, 'base' | 'replay'>>,
): readonly string[] {
  if (!isFinished(record)) return ['state'];
  const { imported, ...own } = record;
  void imported;
  const { base, replay, notKept, issuedAt } = predicate;
  const expected = writeReceipt(own, { base, notKept, issuedAt, replay, ...known }).predicate;
  const textOf = (of: ReceiptPredicate, field: string): string =>
    canonicalJson((of as unknown as Record<string, unknown>)[field] ?? null);
  return [...new Set([...Object.keys(expected), ...Object.keys(predicate)])]
    .filter((field) => textOf(expected, field) !== textOf(predicate, field))
    .sort();
}
