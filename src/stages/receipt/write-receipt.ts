import { SjsError } from '../../errors.js';
import { hexOf, type Digest } from '../../model/digest.js';
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

/** What a receipt is about: the seal under the name of its tag, and all that the run left behind. */
export function subjectsOf(
  run: Pick<ReceiptPredicate, 'tag' | 'seal' | 'stdout' | 'stderr' | 'artifacts'>,
): readonly Subject[] {
  return [
    toSubject(run.tag, run.seal),
    ...(['stdout', 'stderr'] as const).flatMap((name) => {
      const stream = run[name];
      return stream ? [toSubject(name, stream.digest)] : [];
    }),
    ...run.artifacts.map(({ path, digest }) => toSubject(`/out/${path}`, digest)),
  ];
}

const toSubject = (name: string, digest: Digest): Subject => ({ name, digest: { sha256: hexOf(digest) } });
