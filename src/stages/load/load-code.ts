import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { CodeTarget, Grants } from '../../model/grants.js';
import { CODE_ENDINGS, FILE_ENDINGS, LANGUAGE_NAMES, languageOfFile } from '../../model/language.js';
import type { LoadedSandbox } from '../../model/sandbox.js';
import { sandboxName } from '../../model/sandbox-name.js';
import type { ValidTexts } from '../../model/schema-check.js';
import { addGrants, declare, type Program } from './declare.js';
import { describeImports } from './missing-imports.js';
import { findProgram } from './find-program.js';
import { findSandboxFile } from './load-sandbox.js';

/** How much of a file is looked at to see whether it is text, and what it imports. */
const LOOKED_AT_BYTES = 256 * 1024;

/** Code with the sandbox it runs in, and what its owner should know. */
export interface LoadedCode {
  readonly loaded: LoadedSandbox;
  /** Remarks for people, one line each. */
  readonly remarks: readonly string[];
}

/**
 * The sandbox that a path means, with what a run grants it: a folder means its sandbox.yaml, else the package or index
 * file in it; a file means that file alone, unless it is a sandbox.yaml.
 * @param path as given
 * @throws SjsError `TARGET_NOT_FOUND`, `SOURCE_SPECIAL_FILE`, `SOURCE_ROOT`; `USAGE` for what is no JavaScript, a folder
 * without a program and flags that no sandbox can have; as loadSandbox.
 */
export async function loadPath(path: string, grants: Grants, valid?: ValidTexts): Promise<LoadedCode> {
  const given = resolve(path);
  const real = await find(path, given);
  const stats = await stat(real);
  if (stats.isDirectory()) return loadFolder(given, real, grants, valid);
  if (!stats.isFile()) {
    throw new SjsError('SOURCE_SPECIAL_FILE', `${path} is a device, a pipe or a socket`, {
      next: `give its content as code on standard input: sjs run - < ${path}`,
    });
  }
  if (/\.ya?ml$/.test(real)) return { loaded: await addGrants(real, grants, valid), remarks: [] };
  return loadFile(given, real, grants, valid);
}

/** The sandbox of code that is in no file. Policies of the folder apply. */
export async function loadCode(
  target: CodeTarget,
  directory: string,
  grants: Grants,
  valid?: ValidTexts,
): Promise<LoadedCode> {
  const language = grants.language ?? 'node';
  const source = `${target.name}${CODE_ENDINGS[language]}`;
  const where = target.name === 'stdin' ? 'the code on standard input' : 'the code of --eval';
  const name = target.name === 'code' ? `code-${language}` : target.name;
  refuseBinary(target.code, where);
  const program = { name, source, entrypoint: source, language, args: [] };
  const loaded = await declare(program, join(directory, source), grants, valid);
  return {
    loaded: { ...loaded, code: target.code },
    remarks: language === 'node' ? describeImports(Buffer.from(target.code).toString('utf8'), where) : [],
  };
}

async function find(path: string, given: string): Promise<string> {
  try {
    return await realpath(given);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR', 'ELOOP')) {
      throw new SjsError('TARGET_NOT_FOUND', `there is no file or folder ${path}`, {
        next: 'check the path; a name without / means a sealed image: sjs images lists them',
      });
    }
    throw new SjsError('SOURCE_UNREADABLE', `${path} cannot be reached`, {
      cause,
      next: 'make it readable for you',
    });
  }
}

async function loadFolder(
  given: string,
  folder: string,
  grants: Grants,
  valid?: ValidTexts,
): Promise<LoadedCode> {
  const file = await findSandboxFile(folder);
  if (file !== null) return { loaded: await addGrants(file, grants, valid), remarks: [] };
  if (folder === '/') {
    throw new SjsError('SOURCE_ROOT', '/ as a whole cannot be a source', {
      next: 'put the code into a folder of its own and name that',
    });
  }
  const { language, entrypoint, args, remarks } = await findProgram(
    folder,
    grants.command !== null,
    grants.language,
  );
  const program: Program = {
    name: sandboxName(basename(given) || basename(folder), 'folder'),
    source: '.',
    entrypoint,
    language,
    args,
  };
  return { loaded: await declare(program, join(folder, entrypoint), grants, valid, folder), remarks };
}

async function loadFile(
  given: string,
  file: string,
  grants: Grants,
  valid?: ValidTexts,
): Promise<LoadedCode> {
  const name = basename(given);
  const extension = extname(file);
  // A file without an ending is anybody's: CommonJS to Node.
  const language = grants.language ?? (extension === '' ? 'node' : languageOfFile(file));
  if (language === null || (extension !== '' && !FILE_ENDINGS[language].includes(extension))) {
    const endings = language === null ? Object.values(FILE_ENDINGS).flat() : FILE_ENDINGS[language];
    const whose = grants.language === null ? 'a program' : `a program of ${LANGUAGE_NAMES[grants.language]}`;
    throw new SjsError('USAGE', `${given} is no program that sjs runs: it ends in ${extension}`, {
      next: `${whose} ends in ${[...new Set(endings)].join(', ')} or in nothing; compile it first, or name another file`,
    });
  }
  const text = await readBeginning(file);
  refuseBinary(text, given);
  const source = basename(file);
  const program: Program = {
    name: sandboxName(basename(name, extname(name)), 'file'),
    source,
    entrypoint: source,
    language,
    args: [],
  };
  const loaded = await declare(program, file, grants, valid);
  const beside = await findSandboxFile(dirname(file)).catch(() => null);
  return {
    loaded,
    remarks: [
      ...(language === 'node' ? describeImports(text.toString('utf8'), name) : []),
      ...(beside === null
        ? []
        : [
            `${basename(beside)} beside ${name} is not used: it is for the folder, sjs run ${dirname(given)}/`,
          ]),
    ],
  };
}

async function readBeginning(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(LOOKED_AT_BYTES), 0, LOOKED_AT_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new SjsError('SOURCE_UNREADABLE', `${file} cannot be read`, {
      cause,
      next: 'make it readable for you',
    });
  }
}

function refuseBinary(content: Uint8Array, where: string): void {
  if (!content.includes(0)) return;
  throw new SjsError('USAGE', `${where} is binary, and no program's source`, {
    next: 'name the source of the program',
  });
}
