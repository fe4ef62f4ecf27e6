import { SjsError, type KeptReceipt, type RunRecord, type Sjs } from '../index.js';
import { errorDocument, formatError, toSjsError } from './error-report.js';
import { exitCodeOf } from './exit-codes.js';
import type { Output } from './output.js';
import { refuseStream } from './parse-args.js';
import type { OptionSpec, VerbInput } from './verb.js';

/** What says with what a receipt is signed. */
export const KEY_OPTION: OptionSpec = {
  value: 'KEY',
  describe:
    'sign with this cosign key: a file, awskms://…, gcpkms://…, azurekms://…, hashivault://… or pkcs11:…; without it, keyless',
};

/** Options of verbs that run something. */
export const RECEIPT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  receipt: {
    value: 'FILE',
    optional: true,
    describe: 'sign a receipt of the run and keep it beside its record; =FILE writes it there too',
  },
  key: KEY_OPTION,
};

/** A receipt as `--json` prints it with a run: its digest, or why there is none. */
export async function signForJson(
  sign: SignRun,
  record: Pick<RunRecord, 'id'>,
): Promise<{
  readonly fields: { readonly receipt?: string; readonly receiptError?: object };
  readonly failure: SjsError | null;
}> {
  try {
    const receipt = await sign(record);
    return { fields: receipt ? { receipt: receipt.digest } : {}, failure: null };
  } catch (error) {
    // The run is what was asked for: its record is printed whatever becomes of the receipt.
    const failure = toSjsError(error);
    return { fields: { receiptError: errorDocument(failure).error }, failure };
  }
}

/** Says why there is no receipt, to people: the document is printed by then. Returns the exit status. */
export function sayUnsigned(failure: SjsError, verb: string, output: Output): number {
  output.say(formatError(failure, { colors: output.err, verbose: output.verbose, directory: process.cwd() }));
  return exitCodeOf(failure, verb);
}

/** Signs, and says what for. */
export async function signForPeople(
  sign: SignRun,
  record: Pick<RunRecord, 'id'>,
  output: Pick<Output, 'note'>,
): Promise<void> {
  const receipt = await sign(record);
  if (receipt) output.note(`sjs: receipt ${receipt.digest} of run ${record.id}`);
}

/** Makes the receipt of a run that is over, when it was asked for. */
export type SignRun = (record: Pick<RunRecord, 'id'>) => Promise<KeptReceipt | null>;

/**
 * What {@link RECEIPT_OPTIONS} ask for. Options that contradict each other, and a key that cannot sign, are refused here,
 * before the run.
 * @throws SjsError `USAGE`, what the key fails with; of the returned function what `makeReceipt` throws, saying that the
 * run itself is recorded.
 */
export async function readReceiptOptions(
  input: VerbInput,
  sjs: Pick<Sjs, 'makeReceipt' | 'checkReceipt'>,
  signal: AbortSignal,
): Promise<SignRun> {
  const asked = input.value('receipt');
  const key = input.value('key');
  if (asked === undefined) {
    if (key === undefined) return () => Promise.resolve(null);
    throw new SjsError('USAGE', '--key says what signs, and nothing is signed', {
      next: 'add --receipt, which signs a receipt of the run',
    });
  }
  refuseStream(asked, 'written to');
  const request = { ...(key !== undefined && { key }), ...(asked !== '' && { file: asked }) };
  await sjs.checkReceipt({ ...request, signal });
  return async ({ id }) => {
    try {
      return await sjs.makeReceipt(id, request);
    } catch (error) {
      if (!(error instanceof SjsError)) throw error;
      throw new SjsError(error.code, `run ${id} is over and recorded, and has no receipt: ${error.message}`, {
        cause: error.cause,
        next: `${error.next ?? 'see the cause'}; then sjs receipt ${id}${key === undefined ? '' : ` --key ${key}`}`,
      });
    }
  };
}
