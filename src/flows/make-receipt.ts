import { Readable } from 'node:stream';
import { sha256, type Digest } from '../model/digest.js';
import type { Receipt, ReplayClaim } from '../model/receipt.js';
import { answerOf, type RunRecord } from '../model/record.js';
import { parseSigningKey } from '../model/signing-key.js';
import type { Clock } from '../ports/clock.js';
import type { RecordStore } from '../ports/record-store.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import type { StatementSigner } from '../ports/statement-signer.js';
import { findFilePlace, writeWholeFile } from '../stages/archive/write-archive.js';
import { writeReceipt } from '../stages/receipt/write-receipt.js';
import { compareRecorded } from './compare-recorded.js';
import { findOrNull } from './find-or-null.js';

/** What receipts need of the world. */
export interface ReceiptTools {
  readonly store: RecordStore;
  readonly statements: StatementSigner;
  readonly clock: Clock;
}

/** A signed receipt, kept beside the record of its run. */
export interface KeptReceipt {
  /** Id of the run. */
  readonly run: string;
  /** Of the text. */
  readonly digest: Digest;
  /** The Sigstore bundle, as it lies in a file. */
  readonly text: string;
  /** Where it was written besides; null for nowhere. */
  readonly file: string | null;
}

/** How a receipt is asked for. */
export interface ReceiptRequest {
  /** As `--key` says it; absent: the one that is kept, else a new one without a key (keyless). */
  readonly key?: string | undefined;
  /** Where it is written besides SJS_HOME. */
  readonly file?: string | undefined;
}

/**
 * The receipt of a finished run: signed with the key and kept, in place of one that was kept before.
 * @throws SjsError `RUN_NOT_FOUND`, `RUN_UNFINISHED`, `RECEIPT_REFUSED`, `USAGE` where no file can be written, and what
 * {@link StatementSigner} fails with.
 */
export async function makeReceipt(
  idOrPrefix: string,
  { key, file }: ReceiptRequest,
  tools: ReceiptTools,
  signal?: AbortSignal,
): Promise<KeptReceipt> {
  const wanted = parseSigningKey(key);
  const place = file === undefined ? null : await findFilePlace(file);
  const { store, statements } = tools;
  const record = await store.findRecord(idOrPrefix);
  let text = key === undefined ? await store.readReceipt(record.id) : null;
  if (text === null) {
    text = await statements.signStatement(await describeRun(record, tools), wanted, signal);
    await store.saveReceipt(record.id, text);
  }
  if (place !== null) await writeWholeFile(Readable.from([Buffer.from(text)]), place);
  return { run: record.id, digest: sha256(text), text, file: place };
}

/**
 * Whether a receipt could be made as it is asked for: said before there is a run to make it of. Nothing is signed.
 * @throws SjsError `USAGE` where no file can be written, and what the key fails with
 */
export async function checkReceiptRequest(
  { key, file }: ReceiptRequest,
  { verifier }: { readonly verifier: Pick<SignatureVerifier, 'publicKey'> },
  signal?: AbortSignal,
): Promise<void> {
  const wanted = parseSigningKey(key);
  if (file !== undefined) await findFilePlace(file);
  await verifier.publicKey(wanted, signal);
}

/** The receipt that is kept of a run; null for none. */
export async function findReceipt(idOrPrefix: string, store: RecordStore): Promise<KeptReceipt | null> {
  const { id } = await store.findRecord(idOrPrefix);
  const text = await store.readReceipt(id);
  return text === null ? null : { run: id, digest: sha256(text), text, file: null };
}

async function describeRun(record: RunRecord, { store, clock }: ReceiptTools): Promise<Receipt> {
  const [entry, notKept, replay] = await Promise.all([
    store.findImageBySeal(record.seal),
    listNotKept(record, store),
    claimReplay(record, store),
  ]);
  const issuedAt = new Date(clock.now()).toISOString();
  return writeReceipt(record, { base: entry?.base.manifestDigest ?? null, notKept, replay, issuedAt });
}

async function listNotKept(record: RunRecord, store: RecordStore): Promise<readonly string[]> {
  const { stdin, stdout, stderr, artifacts } = record;
  const contents: readonly (readonly [string, Digest | undefined])[] = [
    ['stdin', stdin?.digest],
    ['stdout', stdout?.digest],
    ['stderr', stderr?.digest],
    ['answer', answerOf(record)?.digest],
    ...artifacts.map(({ path, digest }) => [`/out/${path}`, digest] as const),
  ];
  const gone = await Promise.all(
    contents.map(async ([name, digest]) =>
      digest === undefined || (await store.hasBlob(digest)) ? [] : [name],
    ),
  );
  return gone.flat();
}

/** What this home can say of a run as the replay of another; null for a run that is none. */
export async function claimReplay(record: RunRecord, store: RecordStore): Promise<ReplayClaim | null> {
  if (record.replayOf === null) return null;
  const [first, kept] = await Promise.all([
    findOrNull(record.replayOf, store),
    store.readReceipt(record.replayOf),
  ]);
  return {
    of: record.replayOf,
    receipt: kept === null ? null : sha256(kept),
    isImported: first?.imported !== undefined,
    verdict: first && (await compareRecorded(first, record, store)),
  };
}
