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

/** A set for tags and ids of images that go with the test file. */
export function removeImages(): Set<string> {
  const images = new Set<string>();
  afterAll(() => {
    for (const image of images) execFileSync('docker', ['image', 'rm', '-f', image], { stdio: 'ignore' });
  });
  return images;
}
