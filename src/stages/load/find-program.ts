import { stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { Language } from '../../model/language.js';
import { readConfigFile } from './read-config-file.js';

/** The program of a folder that has no sandbox.yaml. */
export interface FoundProgram {
  readonly language: Language;
  /** Relative to the folder. */
  readonly entrypoint: string;
  readonly args: readonly string[];
  readonly remarks: readonly string[];
}

interface PackageFile {
  readonly main?: unknown;
  readonly exports?: unknown;
  readonly scripts?: unknown;
}

const INDEX = ['index.js', 'index.mjs', 'index.cjs', 'index.ts', 'index.mts', 'index.cts'];

/** As `python3 folder` and most tutorials have it. */
const PYTHON_INDEX = ['__main__.py', 'main.py'];

/**
 * The program that a folder is: what `scripts.start` starts when that is `node <file> …`, else what `exports` or `main`
 * of its package.json name, else its index file.
 * For Python it is `__main__.py` or `main.py`.
 * @param isOptional a run brings a command of its own: then none need be found
 * @param asked the language that was asked for; null: a folder with an index file of Python alone is Python
 * @throws SjsError `USAGE` when there is none, `FILE_UNREADABLE`, `FILE_TOO_LARGE`.
 */
export async function findProgram(
  folder: string,
  isOptional: boolean,
  asked: Language | null,
): Promise<FoundProgram> {
  const remarks: string[] = [];
  const language = asked ?? 'node';
  const found =
    (language === 'python' ? null : await findJavaScript(folder, language, remarks)) ??
    (asked === null || asked === 'python' ? await findIndex(folder, 'python', PYTHON_INDEX, remarks) : null);
  if (found) return found;
  const [index = ''] = language === 'python' ? PYTHON_INDEX : INDEX;
  if (isOptional) return { language, entrypoint: index, args: [], remarks: [] };
  const why = remarks.length > 0 ? `: ${remarks.join('; ')}` : '';
  throw new SjsError(
    'USAGE',
    `${folder} has no program: no sandbox.yaml, no package.json that names one and no ${index}${why}`,
    { next: `name a file of it, say what to start with --cmd '["node","file.js"]', or write a sandbox.yaml` },
  );
}

async function findJavaScript(
  folder: string,
  language: Language,
  remarks: string[],
): Promise<FoundProgram | null> {
  const { scripts, exports, main } = await readPackage(folder);
  const start = (scripts as { start?: unknown } | undefined)?.start;
  const started = parseStart(start);
  if (started !== null) {
    const entrypoint = await resolveFile(folder, started.file);
    if (entrypoint !== null) return { language, entrypoint, args: started.args, remarks };
    remarks.push(`scripts.start names ${started.file}, which is not there`);
  } else if (typeof start === 'string') {
    remarks.push(`scripts.start is not run: ${JSON.stringify(start)} is more than node with a file`);
  }
  for (const name of [exportOf(exports), main]) {
    if (typeof name !== 'string') continue;
    const entrypoint = await resolveFile(folder, name);
    if (entrypoint !== null) return { language, entrypoint, args: [], remarks };
    remarks.push(`package.json names ${name}, which is not there`);
  }
  return findIndex(folder, language, INDEX, remarks);
}

async function findIndex(
  folder: string,
  language: Language,
  names: readonly string[],
  remarks: readonly string[],
): Promise<FoundProgram | null> {
  for (const name of names) {
    if (await isFile(join(folder, name))) return { language, entrypoint: name, args: [], remarks };
  }
  return null;
}

async function readPackage(folder: string): Promise<PackageFile> {
  const file = join(folder, 'package.json');
  let text: Uint8Array;
  try {
    text = await readConfigFile(file);
  } catch (error) {
    if (error instanceof SjsError && error.code === 'FILE_NOT_FOUND') return {};
    throw error;
  }
  try {
    const value: unknown = JSON.parse(Buffer.from(text).toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch (cause) {
    throw new SjsError('USAGE', `${file} is no JSON`, {
      cause,
      location: { file },
      next: 'correct it, or name a file of the folder',
    });
  }
}

/** `node file.js a b`; null for anything that needs a shell, another program or options of Node's own. */
export function parseStart(start: unknown): { readonly file: string; readonly args: string[] } | null {
  if (typeof start !== 'string' || /[^\w\s./@:=,+%-]/.test(start)) return null;
  const [program, file, ...args] = start.trim().split(/\s+/);
  return program === 'node' && file !== undefined && !file.startsWith('-') ? { file, args } : null;
}

/** Conditions that hold for a program that Node starts; the first that an object names decides. */
const CONDITIONS = ['node', 'import', 'module-sync', 'default'];

/** Conditions within conditions: deeper, nobody's package.json is. */
const DEEPEST = 32;

/** What `exports` says `.` is (nodejs.org/api/packages.html, Conditional exports). */
export function exportOf(exports: unknown, depth = 0): unknown {
  if (depth > DEEPEST) return undefined;
  const inner = (value: unknown): unknown => exportOf(value, depth + 1);
  if (Array.isArray(exports)) return exports.map(inner).find((one) => typeof one === 'string');
  if (typeof exports !== 'object' || exports === null) return exports;
  const entries = Object.entries(exports);
  if (entries.some(([key]) => key.startsWith('.'))) return inner(Object.fromEntries(entries)['.']);
  for (const [condition, value] of entries) {
    if (!CONDITIONS.includes(condition)) continue;
    const found = inner(value);
    if (found !== undefined) return found;
  }
  // A package only for require().
  return inner(entries.find(([condition]) => condition === 'require')?.[1]);
}

/** As Node looks for a main file: by its name, with an extension, or as a folder. Null when nothing is there. */
async function resolveFile(folder: string, name: string): Promise<string | null> {
  const path = posix.normalize(name).replace(/\/$/, '');
  const names = ['', '.js', '.json', '.ts', '/index.js', '/index.ts'].map((end) => `${path}${end}`);
  for (const candidate of names) if (await isFile(join(folder, candidate))) return candidate;
  return null;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG')) return false;
    throw error;
  }
}
