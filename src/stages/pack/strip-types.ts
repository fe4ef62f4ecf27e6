import { blankSourceFile } from 'ts-blank-space';
import ts from 'typescript';
import { createContext, Script } from 'node:vm';
import { isErrno, SjsError } from '../../errors.js';
import { javascriptName } from '../../model/own-files.js';
import type { SourceEntry, SourceTree } from '../../model/source-tree.js';
import { readWhole, type FileEntry } from './tree-fs.js';

/** Remembers what a file became; its key is the digest of what it was. */
export interface StrippedTexts {
  get(text: Uint8Array): Promise<string | null>;
  set(text: Uint8Array, stripped: string): Promise<void>;
}

/** A source whose TypeScript files have JavaScript ones beside them. */
export interface StrippedTree {
  readonly tree: SourceTree;
  /** What was made, sorted: whoever takes the source out of an image again leaves these behind. */
  readonly made: readonly string[];
  /** Files that could not be stripped, with the reason: a run does not find them. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/**
 * Gives every TypeScript file of a source a JavaScript one beside it (`x.ts`: `x.js`): types are blanked, and nothing
 * else is, so that lines and columns stay. Relative imports that name a `.ts` file name its `.js`, as long as it.
 * As Node does, `node_modules` is left alone; types are not checked.
 * @param entrypoint path of the program, which must not be one that is skipped
 * @param limitMs how long all of it may take
 * @throws SjsError `SANDBOX_INVALID` for an entrypoint that has more than types in it, and for a source that takes too
 * long; `SOURCE_COLLISION` where the JavaScript file is there already; `SOURCE_CHANGED`, `SOURCE_UNREADABLE`.
 */
export async function stripTree(
  tree: SourceTree,
  entrypoint: string,
  texts: StrippedTexts,
  limitMs = STRIP_MS,
): Promise<StrippedTree> {
  const made: SourceEntry[] = [];
  const skipped: { path: string; reason: string }[] = [];
  const budget = { ms: limitMs };
  const paths = new Set(tree.entries.map(({ path }) => path));
  for (const entry of tree.entries.filter(isStripped)) {
    const target = javascriptName(entry.path);
    if (paths.has(target)) {
      throw new SjsError('SOURCE_COLLISION', `${entry.path} would become ${target}, which is there already`, {
        next: `exclude one of them with .sjsignore, or name ${target} as the program`,
      });
    }
    const text = readWhole(tree.root, entry);
    const known = await texts.get(text);
    const result = known === null ? stripBounded(text, entry.path, budget) : { code: known };
    if ('code' in result) {
      if (known === null) await texts.set(text, result.code);
      made.push({ kind: 'inline', path: target, content: Buffer.from(result.code) });
    } else if (entry.path === entrypoint) {
      throw new SjsError('SANDBOX_INVALID', `${entry.path}:${result.line}: ${result.reason}`, {
        next: 'only types can be stripped: write it without, or compile it and run the JavaScript',
      });
    } else {
      skipped.push({ path: entry.path, reason: `line ${result.line}: ${result.reason}` });
    }
  }
  const entries = [...tree.entries, ...made].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { tree: { ...tree, entries }, made: made.map(({ path }) => path).sort(), skipped };
}

const isStripped = (entry: SourceEntry): entry is FileEntry =>
  entry.kind === 'file' &&
  /\.[cm]?ts$/.test(entry.path) &&
  !/\.d\.[cm]?ts$/.test(entry.path) &&
  !/(?:^|\/)node_modules\//.test(entry.path);

type Stripped = { readonly code: string } | { readonly line: number; readonly reason: string };

/** A program of this size takes half a gigabyte to look at. */
const MOST_BYTES = 4 * 1024 ** 2;
/** For all files of a source. A few hundred bytes can keep the parser at guessing for years. */
const STRIP_MS = 120_000;

const boundary = createContext({});
const doWork = new Script('work()');

/**
 * What `strip` says of a file that anybody may have written, within bounds: the watch of `vm` ends what else nothing
 * could, Ctrl-C included.
 */
function stripBounded(text: Buffer, path: string, budget: { ms: number }): Stripped {
  if (text.length > MOST_BYTES) return { line: 1, reason: 'more than 4Mi of TypeScript in one file' };
  const begin = performance.now();
  boundary['work'] = (): Stripped => strip(text.toString('utf8'));
  try {
    const timeout = Math.max(1, Math.round(budget.ms));
    return doWork.runInContext(boundary, { timeout, breakOnSigint: true }) as Stripped;
  } catch (cause) {
    if (cause instanceof RangeError) return { line: 1, reason: 'it is nested too deeply' };
    if (isErrno(cause, 'ERR_SCRIPT_EXECUTION_INTERRUPTED')) {
      throw new SjsError('ABORTED', 'interrupted by SIGINT');
    }
    if (!isErrno(cause, 'ERR_SCRIPT_EXECUTION_TIMEOUT')) throw cause;
    throw new SjsError('SANDBOX_INVALID', `${path}: its types cannot be stripped in time`, {
      next: 'compile it and run the JavaScript',
    });
  } finally {
    budget.ms -= performance.now() - begin;
    delete boundary['work'];
  }
}

/** The JavaScript of a TypeScript text, or the first thing in it that is more than a type. */
export function strip(text: string): Stripped {
  const source = ts.createSourceFile(
    'source.ts',
    text,
    { languageVersion: ts.ScriptTarget.ESNext, impliedNodeFormat: ts.ModuleKind.ESNext },
    false,
    ts.ScriptKind.TS,
  );
  const lineAt = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  // The parser's own findings; there is no program here that could be asked for them.
  const { parseDiagnostics } = source as unknown as {
    parseDiagnostics: readonly ts.DiagnosticWithLocation[];
  };
  const [wrong] = parseDiagnostics;
  if (wrong !== undefined) {
    return { line: lineAt(wrong.start), reason: ts.flattenDiagnosticMessageText(wrong.messageText, ' ') };
  }
  let refused: ts.Node | null = null;
  const code = blankSourceFile(source, (node) => void (refused ??= node));
  if (refused !== null) {
    const { kind } = refused as ts.Node;
    const what = SYNTAX[kind] ?? ts.SyntaxKind[kind];
    return { line: lineAt((refused as ts.Node).getStart(source)), reason: `${what} is more than a type` };
  }
  return { code: renameImports(source, code) };
}

const SYNTAX: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [ts.SyntaxKind.EnumDeclaration]: 'an enum',
  [ts.SyntaxKind.ModuleDeclaration]: 'a namespace with values',
  [ts.SyntaxKind.ImportEqualsDeclaration]: 'import … = require(…)',
  [ts.SyntaxKind.ExportAssignment]: 'export =',
  [ts.SyntaxKind.PublicKeyword]: 'a parameter property',
  [ts.SyntaxKind.ProtectedKeyword]: 'a parameter property',
  [ts.SyntaxKind.PrivateKeyword]: 'a parameter property',
  [ts.SyntaxKind.ReadonlyKeyword]: 'a parameter property',
};

/** `./x.ts` as `./x.js` in imports, exports, `import()` and `require()`: as long as it, so that nothing moves. */
function renameImports(source: ts.SourceFile, code: string): string {
  const ends: number[] = [];
  const rename = (node: ts.Node | undefined): void => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return;
    if (!/^\.{1,2}\/.*\.[cm]?ts$/s.test(node.text) || /\.d\.[cm]?ts$/.test(node.text)) return;
    // Behind `ts` comes the quote; what was blanked has no imports any more.
    const at = node.end - 3;
    if (code.slice(at, at + 2) === 'ts') ends.push(at);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) rename(node.moduleSpecifier);
    else if (
      ts.isCallExpression(node) &&
      (node.expression.kind === ts.SyntaxKind.ImportKeyword ||
        (ts.isIdentifier(node.expression) && node.expression.text === 'require'))
    )
      rename(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return (
    ends.map((at, index) => `${code.slice((ends[index - 1] ?? -2) + 2, at)}js`).join('') +
    code.slice((ends.at(-1) ?? -2) + 2)
  );
}
