import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SjsError } from '../../src/errors.js';
import type { Policy } from '../../src/model/policy.js';
import { loadPolicy } from '../../src/stages/policy/load-policy.js';
import { makeFolder } from './world.js';

/** How every policy begins. */
export const POLICY_HEAD = 'apiVersion: sjs/v1\nkind: Policy\n';

const PEM = '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----';

/** One item of `bases` or `sealed.signers`; without a key given, one that nobody has. */
export const signerRule = (repository: string, more = '', publicKey = PEM): string =>
  `  - repository: "${repository}"\n    verify:\n      keys:\n        - publicKey: |\n${publicKey.trim().replace(/^/gm, '            ')}\n${more}`;

/**
 * Loads policies as they would lie on a machine, with the shipped profiles; the head is put before each text.
 * @param operator the machine's
 * @param repository the one around the sandbox
 * @param second the user's
 */
export async function loadPolicies(
  operator: string | null,
  repository?: string,
  second?: string,
): Promise<Policy> {
  const folder = await makeFolder();
  const file = async (name: string, text: string | null | undefined): Promise<string> => {
    const path = join(folder, name);
    await mkdir(join(path, '..'), { recursive: true });
    if (typeof text === 'string') await writeFile(path, POLICY_HEAD + text, { mode: 0o600 });
    return path;
  };
  const files = [await file('etc/policy.yaml', operator), await file('user/policy.yaml', second)];
  await file('repo/.sjs/policy.yaml', repository);
  await mkdir(join(folder, 'repo/deep/job'), { recursive: true });
  return loadPolicy({
    operatorFiles: files,
    repositoryStart: join(folder, 'repo/deep/job'),
    profilesDirectory: resolve('policies'),
  });
}

/** Code of what an action refuses with. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof SjsError ? error.code : String(error);
  }
  return 'nothing was refused';
}
