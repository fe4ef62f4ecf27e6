import { SjsError, type KeptReceipt, type RunRecord, type Sjs } from '../index.js';
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

/** Makes the receipt of a run that is over, when it was asked for. */
export type SignRun = (record: Pick<RunRecord, 'id'>) => Promise<KeptReceipt | null>;

/**
 * What {@link RECEIPT_OPTIONS} ask for. Options that contradict each other are refused here, before the run; the key itself
 * is met after it.
 * @throws SjsError `USAGE`; of the returned function what `makeReceipt` throws, saying that the run itself is recorded.
 */
export function readReceiptOptions(input: VerbInput, sjs: Pick<Sjs, 'makeReceipt'>): SignRun {
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
