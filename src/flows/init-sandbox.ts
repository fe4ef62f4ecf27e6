import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isErrno, SjsError } from '../errors.js';
import { sandboxName } from '../model/sandbox-name.js';

/** Names of the files init writes, by their names among the templates. */
const FILES = { 'sandbox.yaml': 'sandbox.yaml', 'index.js': 'index.js', sjsignore: '.sjsignore' };

/**
 * Writes a commented `sandbox.yaml`, a program and a `.sjsignore` into a folder, which is made when it is not there.
 * Files that exist are never overwritten.
 * @param templates folder of the templates
 * @param schemaFile what the modeline for editors points at
 * @returns absolute paths of the files written
 * @throws SjsError `USAGE` when the folder has a sandbox.yaml already.
 */
export async function initSandbox(
  directory: string,
  templates: string,
  schemaFile: string,
): Promise<readonly string[]> {
  const folder = resolve(directory);
  await mkdir(folder, { recursive: true });
  for (const name of ['sandbox.yaml', 'sandbox.yml']) {
    if (await exists(join(folder, name))) {
      throw new SjsError('USAGE', `${join(folder, name)} exists already`, {
        next: 'edit it, or choose another folder',
      });
    }
  }
  const written: string[] = [];
  const values: Readonly<Record<string, string>> = {
    name: sandboxName(basename(folder), 'my-sandbox'),
    schema: schemaFile,
  };
  for (const [template, name] of Object.entries(FILES)) {
    const text = await readFile(join(templates, template), 'utf8');
    try {
      await writeFile(
        join(folder, name),
        text.replace(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? ''),
        { flag: 'wx' },
      );
      written.push(join(folder, name));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
  return written;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
