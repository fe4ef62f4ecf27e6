import { realpath, stat } from 'node:fs/promises';
import semver from 'semver';
import { SjsError } from '../../errors.js';
import { sha256 } from '../../model/digest.js';
import { findProgram } from '../process/find-program.js';
import { runProgram } from '../process/run-program.js';
import { cosignInvalid } from './cosign-errors.js';
import type { RunCosign, VersionMemory } from './cosign-program.js';

/** The oldest cosign whose flags and exit codes sjs knows. */
const OLDEST = '2.5.0';
// With its candidates, which come before it.
const FIRST_UNKNOWN = '4.0.0-0';

/** Whether this version signs with a signing config and stores bundles. */
export function isThirdGeneration(version: string): boolean {
  return Number.parseInt(version, 10) >= 3;
}

/** What was found for this very file before; else what `detect` finds. */
export async function recallVersion(
  memory: VersionMemory | undefined,
  program: string | null,
  detect: () => Promise<string>,
): Promise<string> {
  if (memory === undefined || program === null) return detect();
  const file = await realpath(program);
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
  const identity = sha256([file, dev, ino, size, mtimeNs, ctimeNs].join('\n'));
  const remembered = await memory.get(identity);
  if (remembered !== null) return remembered;
  const version = await detect();
  await memory.set(identity, version);
  return version;
}

/**
 * The version of cosign, as `2.5.0`. Distributions build it without one (`devel`): then their package says it, and
 * without a package its flags say the lowest version that it can be.
 * @throws SjsError `COSIGN_UNSUPPORTED` outside 2.5 to 3.x or when nothing tells; `COSIGN_INVALID_ANSWER`.
 */
export async function detectVersion(run: RunCosign, path: string, signal?: AbortSignal): Promise<string> {
  const result = await run(['version', '--json'], signal);
  const stated = readStatedVersion(result.stdout);
  if (result.exitCode !== 0 || stated === null) {
    throw cosignInvalid('cosign does not say its version', result.stderr || result.stdout);
  }
  const version = semver.valid(stated) ?? (await askPackage(path, signal)) ?? (await askFlags(run, signal));
  if (version !== null && semver.gte(version, OLDEST) && semver.lt(version, FIRST_UNKNOWN)) {
    return semver.valid(version) ?? version;
  }
  throw new SjsError('COSIGN_UNSUPPORTED', `cosign ${version ?? stated} is not supported: 2.5 to 3.x is`, {
    next: 'install another version, for example the one of Debian 13: sudo apt-get install cosign',
  });
}

function readStatedVersion(stdout: string): string | null {
  try {
    const { gitVersion } = JSON.parse(stdout) as { gitVersion?: unknown };
    return typeof gitVersion === 'string' && /^[\w.+-]{1,64}$/.test(gitVersion) ? gitVersion : null;
  } catch {
    return null;
  }
}

/** Version of the Debian package that the program in PATH belongs to. */
async function askPackage(path: string, signal?: AbortSignal): Promise<string | null> {
  const program = findProgram('cosign', path);
  if (program === null) return null;
  const ask = (args: readonly string[]) =>
    runProgram({
      program: 'dpkg-query',
      args,
      env: { PATH: path, LC_ALL: 'C' },
      path,
      timeoutMs: 5000,
      signal,
    });
  const owner = await ask(['-S', await realpath(program)]);
  if (owner.exitCode !== 0 || !/^cosign(?::\w+)?: /.test(owner.stdout)) return null;
  const { exitCode, stdout } = await ask(['-W', '-f', '${Version}', 'cosign']);
  return exitCode === 0 ? semver.valid(/^(?:\d+:)?(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? null) : null;
}

/** What `sign --help` shows: signing configs came with 2.6, and `--tlog-upload` went with 3. */
async function askFlags(run: RunCosign, signal?: AbortSignal): Promise<string | null> {
  const { stdout, stderr } = await run(['sign', '--help'], signal);
  const help = stdout + stderr;
  if (!help.includes('--signing-config')) return null;
  // An example in the help of 3 still mentions the flag that it no longer has.
  return /^\s*--tlog-upload=/m.test(help) ? '2.6.0' : '3.0.0';
}
