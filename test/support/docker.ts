import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process';
import { afterAll } from '@jest/globals';

/** What the docker command prints, without the last line break; throws when it fails. */
export function docker(
  args: readonly string[],
  options: Partial<ExecFileSyncOptionsWithStringEncoding> = {},
): string {
  return execFileSync('docker', args, {
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: 60_000,
    ...options,
  }).trim();
}

/**
 * A set for tags and ids of images that go with the test file. A gateway's stays: its content is the same for every file
 * that needs one, and another may be using it; the last of all removes it.
 */
export function removeImages(): Set<string> {
  const images = new Set<string>();
  afterAll(() => {
    const own = [...images].filter((image) => !image.startsWith('sjs/sjs-gateway:'));
    if (own.length > 0) execFileSync('docker', ['image', 'rm', '-f', ...own], { stdio: 'ignore' });
  });
  return images;
}
