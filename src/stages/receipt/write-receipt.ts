import { SjsError } from '../../errors.js';
import { hexOf } from '../../model/digest.js';
import { RECEIPT_TYPE, type Receipt, type ReceiptPredicate } from '../../model/receipt.js';
import { isFinished, type RunRecord } from '../../model/record.js';
import { STATEMENT_TYPE, type Subject } from '../../model/statement.js';

/** What stands around a record. */
export type ReceiptFacts = Pick<ReceiptPredicate, 'base' | 'notKept' | 'replay' | 'issuedAt'>;

/**
 * The statement about a finished run.
 * @throws SjsError `RUN_UNFINISHED`; `RECEIPT_REFUSED` for a run that was elsewhere.
 */
export function writeReceipt(record: RunRecord, facts: ReceiptFacts): Receipt {
  if (!isFinished(record)) {
    throw new SjsError('RUN_UNFINISHED', `run ${record.id} is ${record.state}`, {
      next: `wait for its end: sjs wait ${record.id}`,
    });
  }
  if (record.imported) {
    throw new SjsError(
      'RECEIPT_REFUSED',
      `run ${record.id} was imported: its record is the word of somebody else, who alone can sign it`,
      {
        next: `ask them for its receipt, or replay it here and sign that: sjs replay --receipt ${record.id}`,
      },
    );
  }
  const { formatVersion, owner, outputTimes, secrets, imported, replayOf, ...said } = record;
  void [formatVersion, owner, outputTimes, imported, replayOf];
  const predicate: ReceiptPredicate = { ...said, ...facts, secrets: Object.keys(secrets).sort() };
  return {
    _type: STATEMENT_TYPE,
    subject: subjectsOf(predicate),
    predicateType: RECEIPT_TYPE,
    predicate,
  };
}

/**
 * What a receipt is about: the seal, under the name of its tag. Nothing that the program wrote is a subject: cosign 3 takes
 * any statement of a key about a digest for that key's signature, and a program can print the manifest of whatever image
 * it wants signed. A seal is the digest of no manifest.
 */
export function subjectsOf({ tag, seal }: Pick<ReceiptPredicate, 'tag' | 'seal'>): readonly Subject[] {
  return [{ name: tag, digest: { sha256: hexOf(seal) } }];
}
