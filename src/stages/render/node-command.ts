import semver from 'semver';
import { SjsError } from '../../errors.js';
import { DETERMINISM_PRELOAD, MODULES_PRELOAD, SECRETS_PRELOAD } from '../../model/own-files.js';
import type { Sandbox } from '../../model/sandbox.js';
import { heapLimit } from './heap-limit.js';

/**
 * What a declared permission gives Node, and the code of the warning that Node prints about it: with its process id, which
 * differs from run to run, so that no replay would have the same stderr.
 */
const GRANTS = [
  ['childProcess', '--allow-child-process', 'PERM0002'],
  ['worker', '--allow-worker', 'PERM0006'],
  ['addons', '--allow-addons', 'PERM0001'],
  ['wasi', '--allow-wasi', 'PERM0005'],
] as const;

/**
 * The argument list that starts a Node program: with Node's permission model, the heap limit at the memory limit and the
 * preloads for what is declared; `--` ends Node's options, so that a program gets its arguments untouched.
 * @param nodeVersion version of the base, or null when nobody says: then Node 24's flags are used
 * @throws SjsError `BASE_CONFIG_REFUSED` below Node 20, and for a closed list of modules where Node has no hooks for it.
 */
export function nodeCommand(
  sandbox: Sandbox,
  memoryBytes: number,
  nodeVersion: string | null,
): readonly string[] {
  const [program, ...rest] = sandbox.command;
  refuseWithoutHooks(sandbox, nodeVersion);
  return [
    program ?? 'node',
    ...permissionFlags(sandbox, nodeVersion),
    `--max-old-space-size=${heapLimit(memoryBytes)}`,
    ...(sandbox.secrets.length > 0 ? [`--require=${SECRETS_PRELOAD}`] : []),
    ...(sandbox.determinism ? [`--require=${DETERMINISM_PRELOAD}`] : []),
    // Behind the others, which need modules of their own.
    ...(sandbox.modules ? [`--require=${MODULES_PRELOAD}`] : []),
    // Without it Node looks for --env-file among the program's own arguments and takes options from that file.
    ...(rest.length > 0 ? ['--', ...rest] : []),
  ];
}

/** Without `module.registerHooks` nothing keeps Node's loader to a list. */
function refuseWithoutHooks(sandbox: Sandbox, version: string | null): void {
  if (!sandbox.modules || version === null || semver.satisfies(version, '^22.15.0 || >=23.5.0')) return;
  throw new SjsError(
    'BASE_CONFIG_REFUSED',
    `spec.modules needs Node 22.15 or later, and the base has ${version}`,
    {
      next: 'use a base with Node 24, or remove spec.modules',
    },
  );
}

function permissionFlags({ permissions, filesystem, network }: Sandbox, version: string | null): string[] {
  if (version !== null && semver.lt(version, '20.0.0')) {
    throw new SjsError('BASE_CONFIG_REFUSED', `the base has Node ${version}, which has no permission model`, {
      next: 'use a base with Node 20 or later',
    });
  }
  const stable = version === null || semver.satisfies(version, '^22.13.0 || >=23.5.0');
  const granted = GRANTS.filter(([permission]) => permissions[permission]);
  const silences = version === null || semver.satisfies(version, '^20.11.0 || >=21.3.0');
  return [
    stable ? '--permission' : '--experimental-permission',
    '--allow-fs-read=*',
    '--allow-fs-write=/tmp',
    ...(filesystem.outBytes === null ? [] : ['--allow-fs-write=/out']),
    // From there on Node refuses connections too; the network itself is the boundary.
    ...(network.mode !== 'none' && version !== null && semver.gte(version, '25.0.0') ? ['--allow-net'] : []),
    ...granted.map(([, flag]) => flag),
    ...(silences ? granted.map(([, , warning]) => `--disable-warning=${warning}`) : []),
  ];
}
