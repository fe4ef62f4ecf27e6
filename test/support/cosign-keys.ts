import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COSIGN_2, runCosign } from './cosign-generations.js';

/** A key pair that cosign made, with an empty password. */
export interface CosignKey {
  readonly keyFile: string;
  readonly publicKey: string;
}

/** Makes key pairs in a folder that goes away with `remove`. */
export async function makeCosignKeys(
  count: number,
  generation = COSIGN_2,
): Promise<{ readonly keys: readonly CosignKey[]; readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-keys-'));
  const keys = await Promise.all(
    Array.from({ length: count }, async (_, index): Promise<CosignKey> => {
      const prefix = join(folder, `key${index}`);
      await runCosign(generation, ['generate-key-pair', '--output-key-prefix', prefix]);
      return { keyFile: `${prefix}.key`, publicKey: await readFile(`${prefix}.pub`, 'utf8') };
    }),
  );
  return { keys, folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
