import { SjsError } from '../errors.js';
import type { WritablePolicy } from '../ports/writable-policy.js';
import { addTrustedBase } from '../stages/policy/add-trusted-base.js';
import type { ImportedBase } from './import-base.js';

/**
 * Writes the key and the repository of an imported base into a policy file; the rest of the file stays as it is.
 * @throws SjsError `USAGE` for a base that nobody signed; `POLICY_*` for a policy that cannot be extended.
 */
export async function trustBase(imported: ImportedBase, policy: WritablePolicy): Promise<void> {
  if (imported.publicKey === null) {
    throw new SjsError('USAGE', 'only a base that was signed can be trusted', {
      next: 'give the key with --sign-key',
    });
  }
  await policy.change((before, file) => addTrustedBase(before, imported, file));
}
