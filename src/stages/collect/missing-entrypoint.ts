import { startsRuntime } from '../../model/language.js';
import type { Sandbox } from '../../model/sandbox.js';
import type { SourceTree } from '../../model/source-tree.js';

/**
 * The script that a runtime is to start when nothing in the source can be it, relative to the source; null when something can, as
 * Node looks for it: by its name, with an extension, or as a folder. A base could bring it too, so that this is no error.
 */
export function missingEntrypoint(
  { language, command }: Pick<Sandbox, 'language' | 'command'>,
  tree: SourceTree,
): string | null {
  const [, script] = command;
  if (!startsRuntime(language, command) || !script?.startsWith('/app/')) return null;
  const path = script.slice('/app/'.length);
  const isThere = tree.entries.some(
    (entry) => entry.path === path || entry.path.startsWith(`${path}.`) || entry.path.startsWith(`${path}/`),
  );
  return isThere ? null : path;
}
