import { sha256 } from '../model/digest.js';
import { javascriptName, scriptPath, STRIPPED_LIST } from '../model/own-files.js';
import { startsRuntime } from '../model/language.js';
import type { Sandbox } from '../model/sandbox.js';
import type { SourceTree } from '../model/source-tree.js';
import type { Memory } from '../ports/memory.js';
import type { Reporter } from '../ports/reporter.js';
import type { StrippedTexts } from '../stages/pack/strip-types.js';

/** For a TypeScript program of Node's (others strip types themselves): its source with JavaScript files, and the command that starts the one of the program. */
export async function stripProgram(
  tree: SourceTree,
  sandbox: Sandbox,
  tools: { readonly reporter: Reporter; readonly stripped: Memory },
): Promise<{
  readonly tree: SourceTree;
  readonly sandbox: Sandbox;
  readonly files: Readonly<Record<string, Uint8Array>>;
}> {
  const [program = '', script, ...rest] = sandbox.command;
  const isNode = sandbox.language === 'node' && startsRuntime('node', sandbox.command);
  if (script === undefined || !isNode || !/\.[cm]?ts$/.test(script)) {
    return { tree, sandbox, files: {} };
  }
  // TypeScript's parser is large, and few programs need it.
  const { stripTree } = await import('../stages/pack/strip-types.js');
  const entrypoint = scriptPath(script);
  const { tree: stripped, made, skipped } = await stripTree(tree, entrypoint, textsIn(tools.stripped));
  for (const { path, reason } of skipped) {
    tools.reporter.warn(`${path} has more than types in it and is left as it is (${reason})`);
  }
  const isMade = made.includes(javascriptName(entrypoint));
  return {
    tree: stripped,
    sandbox: isMade ? { ...sandbox, command: [program, javascriptName(script), ...rest] } : sandbox,
    files: { [STRIPPED_LIST]: Buffer.from(`${JSON.stringify(made)}\n`) },
  };
}

const textsIn = (memory: Memory): StrippedTexts => ({
  get: async (text) => {
    const found = await memory.get(sha256(text));
    return typeof found === 'string' ? found : null;
  },
  set: (text, stripped) => memory.set(sha256(text), stripped),
});
