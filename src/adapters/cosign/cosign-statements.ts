import { readFile } from 'node:fs/promises';
import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { hexOf, sha256 } from '../../model/digest.js';
import {
  formatSignedStatement,
  parseSignedStatement,
  preAuthEncoding,
  type SignedStatement,
} from '../../model/signed-statement.js';
import type { SigningKey } from '../../model/signing-key.js';
import type { StatementQuestion, StatementSigner } from '../../ports/statement-signer.js';
import { withTemporaryFiles } from '../process/temporary-files.js';
import { cosignInvalid, explainFailedCommand, explainUnverifiedStatement } from './cosign-errors.js';
import { createCosignProgram, type CosignOptions, type RunCosign } from './cosign-program.js';
import { signerFlags } from './cosign-verifier.js';
import { isThirdGeneration } from './cosign-version.js';
import { EMPTY_TRUSTED_ROOT } from './signing-config.js';
import { keyEnvironment, keyFlags, withSigningServices } from './signing-key.js';
import { hasOwnTrust, withTrustMaterial } from './trust-material.js';

/** Statements by the `cosign` program in PATH. */
export function createCosignStatements(options: CosignOptions): StatementSigner {
  const { run, version } = createCosignProgram(options);
  return {
    async signStatement(statement, key, signal) {
      const env = keyEnvironment(key, options.env);
      const payload = canonicalJson(statement);
      const known = await version(signal);
      const sign = key.kind === 'keyless' ? attest : signBlob;
      return await sign(payload, key, known, (args) => run(args, signal, env));
    },
    async verifyStatement(question, signal) {
      const signed = parseSignedStatement(question.signed);
      const { predicateType } = signed.statement;
      if (predicateType !== question.predicateType) {
        throw new SjsError(
          'STATEMENT_INVALID',
          `this is a statement of the type ${JSON.stringify(predicateType)}, not ${question.predicateType}`,
          { next: 'give the file that was made for this' },
        );
      }
      const known = await version(signal);
      const ask = isThirdGeneration(known) ? askThird(known) : askSecond;
      const result = await ask(signed, question, run, signal);
      if (result.exitCode !== 0) throw explainUnverifiedStatement(result, question, signed);
      if (!result.stderr.includes('Verified OK')) {
        throw cosignInvalid('cosign succeeds and does not say that it verified the statement', result.stderr);
      }
      return signed.statement;
    },
  };
}

type Sign = (
  payload: string,
  key: SigningKey,
  version: string,
  run: (args: readonly string[]) => ReturnType<RunCosign>,
) => Promise<string>;

const NOT_SIGNED = 'cosign did not sign the statement';

/**
 * By a key, what is signed is DSSE's encoding of the statement, as a blob: cosign 2 attests no statement but one that it
 * writes itself, about one file.
 */
const signBlob: Sign = (payload, key, version, run) => {
  const blob = preAuthEncoding(payload);
  const format = isThirdGeneration(version) ? [] : ['--new-bundle-format'];
  return withTemporaryFiles({ blob, bundle: '' }, async (paths) => {
    const common = ['sign-blob', ...keyFlags(key), '--yes', '--bundle', paths.bundle, ...format];
    const result = await withSigningServices(key, version, (flags) => run([...common, ...flags, paths.blob]));
    if (result.exitCode !== 0) throw explainFailedCommand(result, NOT_SIGNED);
    const { signature, material } = readSignature(await readFile(paths.bundle, 'utf8'), blob);
    return formatSignedStatement(payload, signature, material);
  });
};

/** Keyless, the log has to say that a statement was signed: only `attest-blob` enters it so. */
const attest: Sign = (statement, key, version, run) => {
  if (!isThirdGeneration(version)) {
    throw new SjsError('COSIGN_UNSUPPORTED', 'cosign 2 cannot sign a statement without a key', {
      next: 'install cosign 3, or sign with --key',
    });
  }
  return withTemporaryFiles({ statement, bundle: '' }, async (paths) => {
    const common = ['attest-blob', '--statement', paths.statement, '--yes', '--bundle', paths.bundle];
    const result = await withSigningServices(key, version, (flags) => run([...common, ...flags]));
    if (result.exitCode !== 0) throw explainFailedCommand(result, NOT_SIGNED);
    const text = await readFile(paths.bundle, 'utf8');
    if (canonicalJson(parseSignedStatement(text).statement) === statement) return text;
    throw cosignInvalid('cosign signs another statement than it was given', text);
  });
};

/** What cosign says that it signed must be what it was given. */
function readSignature(text: string, blob: string): { signature: string; material: object } {
  try {
    const { messageSignature, verificationMaterial } = JSON.parse(text) as {
      messageSignature: { messageDigest: { digest: string }; signature: string };
      verificationMaterial: object;
    };
    const digest = Buffer.from(messageSignature.messageDigest.digest, 'base64').toString('hex');
    const { signature } = messageSignature;
    if (digest === hexOf(sha256(blob)) && /^[\w+/]+=*$/.test(signature)) {
      return { signature, material: { ...verificationMaterial } };
    }
  } catch {
    // Told below.
  }
  throw cosignInvalid('cosign signs and does not give the signature', text);
}

type Ask = (
  signed: SignedStatement,
  question: StatementQuestion,
  run: RunCosign,
  signal?: AbortSignal,
) => ReturnType<RunCosign>;

const keyEnv = ({ signer }: StatementQuestion): Readonly<Record<string, string>> =>
  'publicKey' in signer ? { SJS_COSIGN_PUBLIC_KEY: signer.publicKey } : {};

/** The type is checked by sjs too; what the statement is about is the caller's to compare. */
const commonFlags = ({ signer, predicateType, transparencyLog }: StatementQuestion): readonly string[] => [
  'verify-blob-attestation',
  ...signerFlags(signer),
  '--type',
  predicateType,
  '--check-claims=false',
  ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
];

const askThird =
  (version: string): Ask =>
  ({ text: bundle }, question, run, signal) => {
    const ask = (trust: readonly string[]) =>
      withTemporaryFiles({ bundle }, (paths) =>
        run([...commonFlags(question), ...trust, '--bundle', paths.bundle], signal, keyEnv(question)),
      );
    if (hasOwnTrust(question)) return withTrustMaterial(question, version, ask);
    // A key alone needs nothing of Sigstore's, and cosign asks for it all the same.
    return 'publicKey' in question.signer && question.transparencyLog === 'none'
      ? withTemporaryFiles({ root: EMPTY_TRUSTED_ROOT }, (paths) => ask(['--trusted-root', paths.root]))
      : ask([]);
  };

/** cosign 2 verifies an envelope by a key; a bundle only beside a file that it is about. */
const askSecond: Ask = ({ envelope }, question, run, signal) => {
  if (!('publicKey' in question.signer) || question.transparencyLog === 'required') {
    throw new SjsError(
      'COSIGN_UNSUPPORTED',
      'cosign 2 cannot check a statement that a certificate or a transparency log vouches for',
      { next: 'install cosign 3' },
    );
  }
  return withTemporaryFiles({ envelope: JSON.stringify(envelope) }, (paths) =>
    run([...commonFlags(question), '--signature', paths.envelope], signal, keyEnv(question)),
  );
};
