import { join, resolve } from 'node:path';

/**
 * SJS_HOME as the environment has it; an empty variable counts as unset, as it does for docker.
 * @param userHome the user's home folder, where the environment names none
 */
export function homeFolder(
  env: Readonly<Record<string, string | undefined>>,
  userHome: () => string,
): string {
  const data = (): string => env['XDG_DATA_HOME'] || join(env['HOME'] || userHome(), '.local/share');
  return resolve(env['SJS_HOME'] || join(data(), 'sjs'));
}
