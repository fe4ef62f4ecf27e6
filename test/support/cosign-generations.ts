import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
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

/** `describe` for what needs a cosign 3; skipped when SJS_TEST_COSIGN3 says so. */
export const describeWithCosign3 = isLeftOut ? describe.skip : describe;

/** Describes the same for each generation. */
export function describeCosigns(name: string, body: (generation: CosignGeneration) => void): void {
  describe(`cosign 2: ${name}`, () => body(COSIGN_2));
  describeWithCosign3(`cosign 3: ${name}`, () => body(COSIGN_3));
}

/** Runs cosign itself, with empty passwords, and gives what it prints. */
export async function runCosign(
  { path }: CosignGeneration,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)('cosign', args, {
    env: { ...process.env, ...env, PATH: path, COSIGN_PASSWORD: '' },
    timeout: 60_000,
  });
  return stdout;
}
