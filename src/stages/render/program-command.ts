import { SjsError } from '../../errors.js';
import { startsRuntime } from '../../model/language.js';
import { PYTHON_CALL, PYTHON_START } from '../../model/own-files.js';
import type { Sandbox } from '../../model/sandbox.js';
import { nodeCommand } from './node-command.js';
import { heapLimit } from './heap-limit.js';

/**
 * The argument list that starts the program. A command that begins with the runtime of the sandbox's language gets the
 * options that sjs gives it, and none of the author's; any other is left as it is.
 * @param baseVersion version of the base, or null when nobody says
 * @throws SjsError `SANDBOX_INVALID` for secrets, determinism or modules with another program than Node, and as nodeCommand.
 */
export function programCommand(
  sandbox: Sandbox,
  memoryBytes: number,
  baseVersion: string | null,
): readonly string[] {
  const { language, command } = sandbox;
  const isRuntime = startsRuntime(language, command);
  if (language === 'node' && isRuntime) return nodeCommand(sandbox, memoryBytes, baseVersion);
  refuseForOthers(sandbox);
  if (!isRuntime) return command;
  const [program = '', ...words] = command;
  switch (language) {
    case 'deno':
      return [program, 'run', ...denoOptions(sandbox, memoryBytes), ...words];
    case 'bun': {
      const [script = '', ...args] = words;
      // Bun takes the first `--` behind the script away: this one, and none of the program's own.
      return [program, 'run', ...BUN_OPTIONS, script, '--', ...args];
    }
    case 'python':
      // What calls functions starts the program itself.
      return [program, ...PYTHON_OPTIONS, ...(words[0] === PYTHON_CALL ? [] : [PYTHON_START]), ...words];
    case 'node':
      return command;
  }
}

/**
 * Nothing is fetched, nothing asked, and no file beside the program steers the runtime: neither .env nor bunfig.toml, which
 * could load other code ahead of it. Bun has no permissions.
 */
const BUN_OPTIONS = ['--no-install', '--no-env-file', '--no-macros', '--config=/dev/null'];

/**
 * Isolated (no variable and no folder of the user's steers it), nothing compiled is kept, what is written goes out at once
 * as with the other languages, and text is UTF-8 whatever the locale.
 */
const PYTHON_OPTIONS = ['-I', '-B', '-u', '-Xutf8'];

/** Deno's own permissions; nothing is fetched, nothing asked, and no deno.json or package.json steers it. */
function denoOptions({ permissions, filesystem, network }: Sandbox, memoryBytes: number): string[] {
  const out = filesystem.outBytes === null ? '' : ',/out';
  return [
    '--quiet',
    '--no-prompt',
    '--no-config',
    '--no-lock',
    '--no-remote',
    '--no-npm',
    '--cached-only',
    // It would take compiled code of the author's for what it compiled itself.
    '--no-code-cache',
    `--allow-read=/app,/in,/tmp${out}`,
    `--allow-write=/tmp${out}`,
    '--allow-env',
    '--allow-sys',
    ...(network.mode === 'none' ? [] : ['--allow-net']),
    ...(permissions.childProcess ? ['--allow-run'] : []),
    ...(permissions.addons ? ['--allow-ffi'] : []),
    `--v8-flags=--max-old-space-size=${heapLimit(memoryBytes)}`,
  ];
}

/** What is done by preloads of Node's has no meaning without it. */
function refuseForOthers({ secrets, determinism, modules, command: [program] }: Sandbox): void {
  const asked = [secrets.length > 0 && 'secrets', determinism && 'determinism', modules && 'modules'];
  const needs = asked.find((one) => typeof one === 'string');
  if (needs === undefined) return;
  const verb = needs === 'determinism' ? 'needs' : 'need';
  throw new SjsError(
    'SANDBOX_INVALID',
    `${needs} ${verb} a command that begins with node in a sandbox of node, not ${program}`,
    { next: `use spec.entrypoint with language: node, or remove spec.${needs}` },
  );
}
