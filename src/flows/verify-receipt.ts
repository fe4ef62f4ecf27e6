import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isErrno, SjsError } from '../errors.js';
import { canonicalJson } from '../model/canonical-json.js';
import { cleanText } from '../model/clean-text.js';
import { sha256, type Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import { RECEIPT_TYPE, type Receipt, type ReceiptPredicate } from '../model/receipt.js';
import type { ReplayVerdict, RunRecord } from '../model/record.js';
import { MAX_SIGNED_STATEMENT, parseSignedStatement } from '../model/signed-statement.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { compareReceipt, readReceipt } from '../stages/receipt/read-receipt.js';
import {
  describeSigner,
  verifyStatement,
  type VerifiedStatement,
} from '../stages/verify/verify-statement.js';
import { possibleVerdicts } from './compare-recorded.js';
import { findOrNull } from './find-or-null.js';
import { claimReplay, type ReceiptTools } from './make-receipt.js';
import { requireCosign, type CosignTools } from './require-cosign.js';

/** A receipt that verified: who says what about which run, and whether this home agrees. */
export interface ReceiptVerification {
  /** Of the file's bytes: what the receipt of a replay names. */
  readonly digest: Digest;
  /** Fingerprint of the key, or identity and issuer of the certificate. */
  readonly signer: string;
  /** Where the policy trusts them; null for a key that was given. */
  readonly trustedBy: string | null;
  readonly receipt: ReceiptPredicate;
  /** What is known here of the run and of the seal, all of which agrees. */
  readonly known: { readonly run: boolean; readonly seal: boolean };
}

/** What checking a receipt needs of the world besides. */
export interface VerifyReceiptTools extends ReceiptTools, CosignTools {
  readonly loadPolicy: () => Promise<Policy>;
}

/** Public keys are small. */
const MAX_KEY = 64 * 1024;

/**
 * Checks a receipt without any network: its signature by the given public key, or by whom the policy trusts for runs of
 * that name (`sealed.signers`, as `runs/<name>`: whoever may run need not be trusted to seal); that it is about what it
 * names; and what is known here of the same.
 * @throws SjsError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_TOO_LARGE`, `STATEMENT_INVALID`, `STATEMENT_UNVERIFIED`,
 * `STATEMENT_CHANGED`,
 * `RECEIPT_MISMATCH`, `SEAL_UNTRUSTED` where no policy trusts anybody for it, `POLICY_INVALID`, and what cosign fails with.
 */
export async function verifyReceipt(
  file: string,
  keyFile: string | null,
  tools: VerifyReceiptTools,
  signal?: AbortSignal,
): Promise<ReceiptVerification> {
  const text = await readText(file, MAX_SIGNED_STATEMENT);
  const { statement, signer, trustedBy } =
    keyFile === null
      ? await verifyByPolicy(text, tools, signal)
      : await verifyByKey(text, await readText(keyFile, MAX_KEY), tools, signal);
  const receipt = readReceipt(statement, (record, place, id) => tools.store.parseRecord(record, place, id));
  const known = await compareWithHome(receipt, tools);
  return { digest: sha256(text), signer, trustedBy, receipt: receipt.predicate, known };
}

type Verified = Omit<VerifiedStatement, 'trustedBy' | 'signers'> & { readonly trustedBy: string | null };

async function verifyByKey(
  signed: string,
  publicKey: string,
  { statements }: ReceiptTools,
  signal?: AbortSignal,
): Promise<Verified> {
  const signer = describeKey(publicKey);
  const statement = await statements.verifyStatement(
    {
      signed,
      predicateType: RECEIPT_TYPE,
      signer: { publicKey },
      trustedRoot: null,
      transparencyLog: 'none',
    },
    signal,
  );
  return { statement, signer, trustedBy: null };
}

function describeKey(publicKey: string): string {
  try {
    return describeSigner({ publicKey });
  } catch (cause) {
    throw new SjsError('USAGE', 'the file given with --key is no public key', {
      cause,
      next: 'give the .pub file of the pair that signed',
    });
  }
}

async function verifyByPolicy(
  signed: string,
  tools: VerifyReceiptTools,
  signal?: AbortSignal,
): Promise<Verified> {
  const { statements, clock } = tools;
  const name = parseSignedStatement(signed).statement.subject[0]?.name ?? '';
  const [, sandbox] = /^sjs\/([a-z0-9-]{1,63}):/.exec(name) ?? [];
  if (sandbox === undefined) {
    throw new SjsError('STATEMENT_INVALID', `the statement is about ${cleanText(name)}, not about a seal`, {
      next: 'give a file that sjs receipt wrote',
    });
  }
  const policy = await tools.loadPolicy();
  const requirement = requirementOf(policy, sandbox);
  await requireCosign(policy, tools, signal);
  return verifyStatement(signed, RECEIPT_TYPE, requirement, statements, clock, signal);
}

function requirementOf(policy: Policy, sandbox: string) {
  const repository = `runs/${sandbox}`;
  try {
    return sealedRequirement(policy, repository);
  } catch (error) {
    if (!(error instanceof SjsError) || error.code !== 'SEAL_UNTRUSTED') throw error;
    const { code, location } = error;
    throw new SjsError(code, `no policy says whose receipts count for runs of ${sandbox}`, {
      ...(location && { location }),
      next: `give the public key of whoever signed the receipt with --key, or add a rule for ${repository} to sealed.signers`,
    });
  }
}

/** @throws SjsError `RECEIPT_MISMATCH` naming everything in which they differ. */
async function compareWithHome(
  receipt: Receipt,
  { store }: ReceiptTools,
): Promise<ReceiptVerification['known']> {
  const { id, seal, tag, base } = receipt.predicate;
  const [record, entry] = await Promise.all([findOrNull(id, store), store.findImageBySeal(seal)]);
  const different = [
    ...(record ? compareReceipt(receipt, record, await knownReplay(receipt, record, store)) : []),
    ...(entry && entry.tag !== tag ? ['tag'] : []),
    ...(entry && base !== null && entry.base.manifestDigest !== base ? ['base'] : []),
  ];
  if (different.length > 0) {
    const fields = [...new Set(different)];
    throw new SjsError(
      'RECEIPT_MISMATCH',
      `the receipt says of run ${id} otherwise than is known here: ${fields.join(', ')}`,
      {
        problems: fields.map((field) => ({ message: `${field} differs` })),
        next: record
          ? `compare: sjs inspect ${id}; either the receipt or the record is wrong`
          : `compare: sjs inspect ${entry?.tag ?? seal}`,
      },
    );
  }
  return { run: record !== null, seal: entry !== null };
}

/**
 * The claim as this home would make it. Which receipt of the first run was kept, and whether that run was elsewhere, is
 * for the home that signed to say; a verdict only where both know it, and of output that is not kept here what is said.
 */
async function knownReplay({ predicate }: Receipt, record: RunRecord, store: ReceiptTools['store']) {
  const said = predicate.replay;
  if (record.replayOf === null || said === null) return { replay: await claimReplay(record, store) };
  const first = await findOrNull(record.replayOf, store);
  const possible = first && said.verdict ? await possibleVerdicts(first, record, store) : [];
  const isSaid = (verdict: ReplayVerdict): boolean => canonicalJson(verdict) === canonicalJson(said.verdict);
  const verdict = possible.find(isSaid) ?? possible[0] ?? said.verdict;
  return { replay: { ...said, of: record.replayOf, verdict } };
}

async function readText(file: string, most: number): Promise<string> {
  const location = { file };
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    const isMissing = isErrno(cause, 'ENOENT', 'ENOTDIR');
    throw new SjsError(
      isMissing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE',
      isMissing ? `there is no ${file}` : `${file} cannot be read`,
      { ...(!isMissing && { cause }), location, next: 'name a file that you can read' },
    );
  });
  try {
    const found = await handle.stat();
    if (!found.isFile()) {
      throw new SjsError('FILE_UNREADABLE', `${file} is not a plain file`, {
        location,
        next: 'name the file itself',
      });
    }
    if (found.size > most) {
      throw new SjsError('FILE_TOO_LARGE', `${file} is larger than ${most / 1024} KiB`, {
        location,
        next: 'give the file that was written when it was signed',
      });
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
