import { readFile, writeFile } from 'node:fs/promises';
import { runCosign, type CosignGeneration } from './cosign-generations.js';

/** A signed statement in a file, and what a stranger has beside it. */
export interface StatementFile {
  readonly file: string;
  readonly publicKeyFile: string;
  readonly predicateType: string;
  /** A file that the statement is about, or the hex digits of what is no file. */
  readonly about: { readonly blob: string } | { readonly sha256: string };
}

/**
 * Has plain cosign check a signed statement, and what it is about, as docs/reference/receipts.md tells a stranger to.
 * cosign 2 takes the envelope in the bundle, and no digits.
 */
export async function checkWithCosign(generation: CosignGeneration, given: StatementFile): Promise<void> {
  const { file, publicKeyFile, predicateType, about } = given;
  const isSecond = generation.signsWith === 'flags';
  const flags = ['--key', publicKeyFile, '--insecure-ignore-tlog=true', '--type', predicateType];
  await runCosign(generation, [
    'verify-blob-attestation',
    ...flags,
    ...(isSecond ? ['--signature', await takeEnvelope(file)] : ['--bundle', file]),
    ...('blob' in about
      ? [about.blob]
      : isSecond
        ? ['--check-claims=false']
        : ['--digest', about.sha256, '--digestAlg', 'sha256']),
  ]);
}

/** `jq .dsseEnvelope` into a file of its own. */
async function takeEnvelope(file: string): Promise<string> {
  const { dsseEnvelope } = JSON.parse(await readFile(file, 'utf8')) as { dsseEnvelope: object };
  await writeFile(`${file}.envelope`, JSON.stringify(dsseEnvelope));
  return `${file}.envelope`;
}
