import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, SjsError } from '../errors.js';
import { addTrustedBase } from '../stages/policy/add-trusted-base.js';
import type { ImportedBase } from './import-base.js';

/**
 * Writes the key and the repository of an imported base into a policy file, which is made when it is not there. The
 * rest of the file stays as it is; the file is replaced whole.
 * @throws SjsError `USAGE` for a base that nobody signed; `POLICY_*` for a policy that cannot be extended.
 */
export async function trustBase(imported: ImportedBase, file: string): Promise<void> {
  if (imported.publicKey === null) {
    throw new SjsError('USAGE', 'only a base that was signed can be trusted', {
      next: 'give the key with --sign-key',
    });
  }
  const before = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return null;
    throw new SjsError('POLICY_UNREADABLE', `${file} cannot be read`, {
      cause: error,
      next: 'make it readable for you',
    });
  });
  const after = addTrustedBase(before, imported, file);
  if (after === before) return;
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(temporary, after, { flag: 'wx', mode: 0o600 });
    await rename(temporary, file);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw new SjsError('POLICY_UNREADABLE', `${file} cannot be written`, {
      cause,
      next: 'choose another file with --policy or SJS_POLICY',
    });
  }
}
