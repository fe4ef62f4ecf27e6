import type { ReceiptVerification } from '../../index.js';
import type { Colors } from '../output.js';
import { describeFrozen } from '../plan-view.js';
import { describeEnding } from '../run-ending.js';
import { describeSigner } from '../signer.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs receipt verify`: who says what of which run, when, and whether it is known here. */
export const receiptVerifyVerb: Verb = {
  examples: [
    ['sjs receipt verify receipt.json --key cosign.pub', 'by a public key that you have'],
    ['sjs receipt verify receipt.json', 'by whom your policy trusts (sealed.signers)'],
    ['sjs receipt verify --json receipt.json | jq .receipt.stdout', 'one thing that it says, verified'],
  ],
  usage: '<file>',
  positionals: [1, 1],
  options: { key: { value: 'FILE', describe: 'public key of whoever signed it' } },
  notes: `Needs no network, engine or registry. Where the run or the seal is known here, the receipt has to agree with that.

Exit status: 0 verified, 2 no such file, 3 something does not hold, 5 no cosign.`,
  async run(input, { sjs, output, tapSignals }) {
    const key = input.value('key');
    const found = await sjs.verifyReceipt(input.positionals[0] ?? '', {
      ...(key !== undefined && { key }),
      signal: tapSignals().signals.abort,
    });
    if (output.json) await output.printJson({ verified: true, ...found });
    else await output.print(formatReceipt(found, output.out));
    return 0;
  },
};

/** What a receipt says, a line a fact. All text in it is the signer's: nothing of it reaches a terminal as it is. */
function formatReceipt(found: ReceiptVerification, colors: Colors): string {
  const { receipt, signer, trustedBy, known } = found;
  const { engine, stdout, stderr, artifacts } = receipt;
  const ok = colors.green('ok');
  const lines: (readonly [string, string])[] = [
    ['signature', `by ${describeSigner(signer)}${trustedBy === null ? '' : `, trusted in ${trustedBy}`}`],
    ['run', `${receipt.id}, ${known.run ? 'as it is recorded here' : 'which is not known here'}`],
    ['seal', `${receipt.seal} ${receipt.tag}${known.seal ? '' : ', which is not known here'}`],
  ];
  const facts: (readonly [string, string])[] = [
    ['state', `${receipt.state}${receipt.exitCode === null ? '' : ` (exit ${receipt.exitCode})`}`],
    ['why', receipt.error?.message ?? describeEnding(receipt, receipt.signal) ?? ''],
    ['when', `${receipt.createdAt} to ${receipt.finishedAt ?? '?'}; signed ${receipt.issuedAt}`],
    ['base', receipt.base ?? 'not known to whoever signed'],
    ['args', receipt.args.length === 0 ? '' : JSON.stringify(receipt.args)],
    ['stdin', describeStream('stdin', receipt)],
    ['stdout', stdout ? describeStream('stdout', receipt) : 'not known'],
    ['stderr', stderr ? describeStream('stderr', receipt) : 'not known'],
    ...artifacts.map(({ path, digest, bytes }): [string, string] => [
      `/out/${path}`,
      `${digest}, ${bytes} bytes`,
    ]),
    [
      'engine',
      [
        `${engine.name} ${engine.version}`,
        [engine.runtime, engine.runtimeVersion].filter(Boolean).join(' '),
        ...(engine.kernel === null ? [] : [`kernel ${engine.kernel}`]),
      ].join(', '),
    ],
    ['network', receipt.network.mode],
    ['frozen', receipt.determinism ? describeFrozen(receipt.determinism) : ''],
    ['replay', describeReplay(receipt.replay)],
  ];
  return [
    ...lines.map(([name, text]) => `${ok}  ${name.padEnd(9)}  ${cleanLine(text)}`),
    ...facts
      .filter(([, text]) => text !== '')
      .map(([name, text]) => cleanLine(`    ${name.padEnd(9)}  ${text}`)),
  ].join('\n');
}

function describeStream(
  name: 'stdin' | 'stdout' | 'stderr',
  receipt: ReceiptVerification['receipt'],
): string {
  const stream = receipt[name];
  if (stream === null) return '';
  const kept = receipt.notKept.includes(name) ? ', no longer kept' : '';
  return `${stream.digest}, ${stream.bytes} bytes${stream.truncated ? ', cut at its limit' : ''}${kept}`;
}

function describeReplay(replay: ReceiptVerification['receipt']['replay']): string {
  if (replay === null) return '';
  const { of, verdict, receipt, isImported } = replay;
  const word = verdict === null ? 'not compared' : verdict.reproduced ? 'reproduced' : 'not reproduced';
  const fields = verdict?.differences.map(({ field }) => field).join(', ') ?? '';
  return [
    `${word}: run ${of}${fields === '' ? '' : `, which differs in ${fields}`}`,
    ...(receipt === null ? [] : [`its receipt is ${receipt}`]),
    ...(isImported ? ['that run was imported'] : []),
  ].join('; ');
}
