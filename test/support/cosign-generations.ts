import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe } from '@jest/globals';

/** One generation of cosign, as a PATH that leads to it. */
export interface CosignGeneration {
  readonly name: 'cosign 2' | 'cosign 3';
  /** Where the program of that name is found first. */
  readonly path: string;
  /** Flags with which `sign` asks nobody but the registry; cosign 3 takes a configuration instead. */
  readonly signsWith: 'flags' | 'configuration';
}

const machine = process.env['PATH'] ?? '';
const unpacked = resolve('.cache/tools/cosign3/usr/bin');

export const COSIGN_2: CosignGeneration = { name: 'cosign 2', path: machine, signsWith: 'flags' };
export const COSIGN_3: CosignGeneration = {
  name: 'cosign 3',
  path: `${unpacked}:${machine}`,
  signsWith: 'configuration',
};

const isLeftOut = process.env['SJS_TEST_COSIGN3'] === 'skip';
if (!isLeftOut && !existsSync(`${unpacked}/cosign`)) {
  throw new Error(
    'there is no cosign 3 in .cache/tools: run scripts/cosign3, or set SJS_TEST_COSIGN3=skip to leave its tests out',
  );
}

/** Describes the same for each generation; those of cosign 3 are skipped when SJS_TEST_COSIGN3 says so. */
export function describeCosigns(name: string, body: (generation: CosignGeneration) => void): void {
  describe(`cosign 2: ${name}`, () => body(COSIGN_2));
  (isLeftOut ? describe.skip : describe)(`cosign 3: ${name}`, () => body(COSIGN_3));
}

/** Runs cosign itself, with empty passwords. */
export function runCosign(
  { path }: CosignGeneration,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): string {
  return execFileSync('cosign', args, {
    env: { ...process.env, ...env, PATH: path, COSIGN_PASSWORD: '' },
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: 60_000,
  });
}
