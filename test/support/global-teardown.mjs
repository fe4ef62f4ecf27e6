import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { listGateways } from './global-setup.mjs';

/** Stops the tests' registry and removes what the tests made: folders, and images that only they have. */
export default function tearDown() {
  const { directory, registry, gateways } = JSON.parse(process.env.SJS_TEST_WORLD);
  execFileSync('scripts/registry', ['--stop', join(directory, 'registry')]);
  const images = execFileSync(
    'docker',
    ['images', '--no-trunc', '--format', '{{.Repository}}@{{.Digest}} {{.Repository}}:{{.Tag}}'],
    { encoding: 'utf8' },
  );
  const references = images
    .split('\n')
    .filter((line) => line.startsWith(registry))
    .flatMap((line) => line.split(' ').filter((one) => !one.includes('<none>')));
  try {
    if (references.length > 0) execFileSync('docker', ['image', 'rm', ...references], { stdio: 'ignore' });
  } catch {
    // An image that something else still stands on goes with that.
  }
  for (const tag of listGateways().filter((one) => !gateways.includes(one)))
    execFileSync('docker', ['image', 'rm', tag], { stdio: 'ignore' });
  rmSync(directory, { recursive: true, force: true });
}
