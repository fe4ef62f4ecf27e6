import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const LAYOUT = join(import.meta.dirname, '../../.cache/bases/node/oci');

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

/** The engine's id of the base image that `scripts/base` assembles. Loads it once an engine, without a registry. */
export async function ensureBaseImage(): Promise<string> {
  const blob = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const index = JSON.parse(await readFile(join(LAYOUT, 'index.json'), 'utf8')) as {
    manifests: [{ digest: string }];
  };
  const digest = index.manifests[0].digest;
  const tag = `sjs-test/base:${digest.slice(7, 19)}`;
  const known = await inspectId(tag);
  if (known) return known;
  const manifest = JSON.parse(await readFile(join(LAYOUT, blob(digest)), 'utf8')) as Manifest;
  const folder = await mkdtemp(join(tmpdir(), 'sjs-base-'));
  try {
    const entry = {
      Config: blob(manifest.config.digest),
      RepoTags: [tag],
      Layers: manifest.layers.map((layer) => blob(layer.digest)),
    };
    await writeFile(join(folder, 'manifest.json'), JSON.stringify([entry]));
    const archive = join(folder, 'image.tar');
    await execute('tar', ['-cf', archive, '-C', folder, 'manifest.json', '-C', LAYOUT, '.']);
    await execute('docker', ['load', '-i', archive]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const id = await inspectId(tag);
  if (!id) throw new Error(`the engine did not take ${tag}`);
  return id;
}

async function inspectId(tag: string): Promise<string | null> {
  try {
    return (await execute('docker', ['image', 'inspect', '--format', '{{.Id}}', tag])).stdout.trim();
  } catch {
    return null;
  }
}
