import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { world } from './world.js';

const execute = promisify(execFile);

/** A base in the registry of the world. */
export interface WorldBase {
  readonly repository: string;
  readonly version: string;
  /** `repository@digest` of its manifest */
  readonly reference: string;
}

/**
 * The base that `scripts/bases/` describes by this name, in the registry of the world and signed there: only tests that
 * ask for one wait for it. It is assembled if need be.
 */
export async function provideBase(name: string): Promise<WorldBase> {
  await execute('scripts/base', [name]);
  const layout = join('.cache/bases', name, 'oci');
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    manifests: [{ annotations: { 'org.opencontainers.image.ref.name': string } }];
  };
  const version = index.manifests[0].annotations['org.opencontainers.image.ref.name'];
  const repository = `${dirname(world.repository)}/${name}`;
  const pushed = await execute('node', ['scripts/push-base.mjs', layout, `${repository}:${version}`]);
  const reference = pushed.stdout.trim();
  await execute(
    'cosign',
    [
      ...['sign', '--key', world.keyFile, '--tlog-upload=false', '--yes', '--allow-insecure-registry'],
      ...['-a', `version=${version}`, '-a', `repository=${repository}`],
      reference,
    ],
    { env: { ...process.env, COSIGN_PASSWORD: '' } },
  );
  return { repository, version, reference };
}
