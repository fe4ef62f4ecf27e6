import { readFile, writeFile } from 'node:fs/promises';
import { runCosign, type CosignGeneration } from './cosign-generations.js';

/** A signed statement in a file, and what a stranger has beside it. */
export interface StatementFile {
  readonly file: string;
  readonly publicKeyFile: string;
  readonly predicateType: string;
  /** A file that the statement is about. */
  readonly blob: string;
}

/**
 * Has plain cosign check a signed statement, and that it is about the file, as docs/reference/receipts.md tells a
 * stranger to. cosign 2 takes the envelope in the bundle.
 */
export async function checkWithCosign(generation: CosignGeneration, given: StatementFile): Promise<void> {
  const { file, publicKeyFile, predicateType, blob } = given;
  const flags = ['--key', publicKeyFile, '--insecure-ignore-tlog=true', '--type', predicateType];
  await runCosign(generation, [
    'verify-blob-attestation',
    ...flags,
    ...(generation.signsWith === 'flags' ? ['--signature', await takeEnvelope(file)] : ['--bundle', file]),
    blob,
  ]);
}

/** `jq .dsseEnvelope` into a file of its own. */
async function takeEnvelope(file: string): Promise<string> {
  const { dsseEnvelope } = JSON.parse(await readFile(file, 'utf8')) as { dsseEnvelope: object };
  await writeFile(`${file}.envelope`, JSON.stringify(dsseEnvelope));
  return `${file}.envelope`;
}
