import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { isErrno, SjsError } from '../errors.js';
import { sandboxName } from '../model/sandbox-name.js';

/** Names of the files init writes, by their names among the templates. */
const FILES = { 'sandbox.yaml': 'sandbox.yaml', 'index.js': 'index.js', sjsignore: '.sjsignore' };

/** The schema of a sandbox.yaml in a project that has sjs among its packages, as npm installs it everywhere. */
const SCHEMA = 'node_modules/sjs/schemas/sandbox.schema.json';

/**
 * Writes a commented `sandbox.yaml`, a program and a `.sjsignore` into a folder, which is made when it is not there.
 * Files that exist are never overwritten; a package-lock.json that exists is declared.
 * @param templates folder of the templates
 * @returns absolute paths of the files written
 * @throws SjsError `USAGE` when the folder has a sandbox.yaml already, or cannot be made or written to.
 */
export async function initSandbox(directory: string, templates: string): Promise<readonly string[]> {
  const folder = resolve(directory);
  await attempt(folder, () => makeFolder(folder));
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
    modeline: await modelineOf(folder),
    // What a lockfile names is declared; else the line stands there as a comment.
    dependencies: (await exists(join(folder, 'package-lock.json'))) ? '' : '# ',
  };
  for (const [template, name] of Object.entries(FILES)) {
    const text = await readFile(join(templates, template), 'utf8');
    const filled = text.replace(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? '');
    const isNew = await attempt(folder, () => writeNew(join(folder, name), filled));
    if (isNew) written.push(join(folder, name));
  }
  return written;
}

/**
 * What tells an editor where the schema is, for the first project around that has it: then the path is the same in every
 * checkout. Empty where there is none: where sjs lies on this machine is nothing for a file that others get.
 */
async function modelineOf(folder: string): Promise<string> {
  for (let project = folder; ; project = dirname(project)) {
    if ((await exists(join(project, 'package.json'))) && (await exists(join(project, SCHEMA)))) {
      const path = relative(folder, join(project, SCHEMA)).split(sep).join('/');
      return `# yaml-language-server: $schema=${path.startsWith('.') ? path : `./${path}`}\n`;
    }
    if (project === dirname(project)) return '';
  }
}

/** Not by `recursive`, which tries for ever where a folder can never be made, as in /proc. */
async function makeFolder(path: string): Promise<void> {
  if (await exists(path)) return;
  await makeFolder(dirname(path));
  await mkdir(path).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
}

/** Whether the file was written; false when it was there. */
async function writeNew(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

async function attempt<T>(folder: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS')) throw cause;
    throw new SjsError('USAGE', `nothing can be written to ${folder}: ${cause.code}`, {
      cause,
      next: 'choose a folder that you may write to',
    });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
