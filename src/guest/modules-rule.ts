'use strict';
// What a closed list of modules lets through. Program and rule share one memory: what is used here was taken before the
// program ran, so that a program which replaces `String.prototype.startsWith` changes nothing.

/** Names as sjs seals them: builtins without `node:`. */
export interface ModuleLists {
  readonly builtins: readonly string[];
  readonly packages: readonly string[];
}

/** The code of every refusal. */
export const REFUSED = 'ERR_SJS_MODULE';

const SOURCE = '/app/';
const FOLDER = '/node_modules/';

const { apply } = Reflect;
const { create, defineProperty } = Object;
type AnyFunction = (this: unknown, ...args: never[]) => unknown;
const method = (name: keyof typeof String.prototype): AnyFunction =>
  Reflect.get(String.prototype, name) as AnyFunction;
const startsWith = method('startsWith');
const slice = method('slice');
const indexOf = method('indexOf');
const lastIndexOf = method('lastIndexOf');
/** Calls a method that may have been replaced since. */
const call = (taken: AnyFunction, text: string, ...args: unknown[]): unknown =>
  apply(taken, text, args as never[]);
const decode = decodeURIComponent;
const RealError = Error;

/** Whether a text begins with another. */
export const begins = (text: string, start: string): boolean => call(startsWith, text, start) as boolean;
const cut = (text: string, from: number, to?: number): string => call(slice, text, from, to) as string;
const find = (text: string, part: string, from = 0): number => call(indexOf, text, part, from) as number;
const findLast = (text: string, part: string): number => call(lastIndexOf, text, part) as number;

type Names = Record<string, true>;

function toSet(names: readonly string[]): Names {
  const set = create(null) as Names;
  for (const name of names) set[name] = true;
  return set;
}

/** A refusal as the program sees it. */
export function refusal(message: string): Error {
  const error = new RealError(message);
  defineProperty(error, 'code', { __proto__: null, value: REFUSED, enumerable: true } as PropertyDescriptor);
  return error;
}

/** The folder of the innermost package that a file is in, and the name it has there; null for a file of the source. */
export function packageOf(path: string): { readonly name: string; readonly folder: string } | null {
  const at = findLast(path, FOLDER);
  if (at < 0) return null;
  const start = at + FOLDER.length;
  const first = find(path, '/', start);
  const end = begins(cut(path, start), '@') && first >= 0 ? find(path, '/', first + 1) : first;
  const folder = end < 0 ? path : cut(path, 0, end);
  return { name: cut(folder, start), folder };
}

/** Says what may be loaded: what is listed, whoever asks. */
export class ModuleRule {
  private readonly builtins: Names;
  private readonly packages: Names;
  private readonly folders: Names;
  private readonly words: { readonly builtins: string; readonly packages: string };

  /**
   * @param lists what may be loaded
   * @param folders absolute folders of packages that come along, as what a listed package needs
   */
  constructor(lists: ModuleLists, folders: readonly string[] = []) {
    this.builtins = toSet(lists.builtins);
    this.packages = toSet(lists.packages);
    this.folders = toSet(folders);
    this.words = {
      builtins: lists.builtins.join(', ') || 'none',
      packages: lists.packages.join(', ') || 'none',
    };
  }

  /** Whether a builtin is listed: `fs` brings `fs/promises`, which it has as a property anyway; not the other way. */
  listsBuiltin(name: string): boolean {
    const slash = find(name, '/');
    return this.builtins[name] === true || (slash > 0 && this.builtins[cut(name, 0, slash)] === true);
  }

  /** Why what Node resolved to may not be loaded; null when it may. @param url as Node has it: `node:fs`, `file:///app/a.js` */
  judge(url: string): string | null {
    if (begins(url, 'node:')) {
      const name = cut(url, 5);
      return this.listsBuiltin(name) ? null : this.unlisted(name, 'builtins');
    }
    return begins(url, 'file:///') ? this.judgeFile(pathOf(url)) : outside(url);
  }

  /** The same for the real path of a file. */
  judgeFile(path: string): string | null {
    // Node's own paths have neither: whatever has, did not come from Node.
    if (!begins(path, SOURCE) || find(`${path}/`, '/../') >= 0 || find(path, '//') >= 0) return outside(path);
    const found = packageOf(path);
    if (found === null || this.packages[found.name] === true || this.folders[found.folder] === true)
      return null;
    return this.unlisted(found.name, 'packages');
  }

  private unlisted(name: string, list: 'builtins' | 'packages'): string {
    return `module '${name}' is not in spec.modules.${list} of this sandbox; listed: ${this.words[list]}; add it there and build again`;
  }
}

const outside = (what: string): string =>
  `module '${cut(what, 0, 120)}' is no file of the source; a sandbox with spec.modules loads files below /app and what is listed`;

/** The path of a file URL. One that cannot be decoded is none. */
function pathOf(url: string): string {
  const query = find(url, '?');
  const hash = find(url, '#');
  const ends = query < 0 ? hash : hash < 0 || query < hash ? query : hash;
  try {
    return decode(cut(url, 'file://'.length, ends < 0 ? undefined : ends));
  } catch {
    return '';
  }
}
