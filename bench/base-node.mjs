import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** sjs built for the Node of the sealed image, which may be a later one than this machine's. The words that start it. */
export function buildForBaseNode(tag, folder) {
  const target = join(folder, 'work', 'node');
  const run = (...args) =>
    execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const container = run('create', tag);
  try {
    const path = run('inspect', '--format', '{{json .Config.Env}}', container);
    const folders = JSON.parse(path)
      .find((line) => line.startsWith('PATH='))
      .slice('PATH='.length)
      .split(':');
    const found = folders.some((place) => {
      try {
        return run('cp', '-L', `${container}:${place}/node`, target) !== null;
      } catch {
        return false;
      }
    });
    if (!found) throw new Error('the base has no Node in its PATH');
  } finally {
    run('rm', '-f', container);
  }
  const place = join(folder, 'work', 'sjs');
  mkdirSync(place);
  cpSync('dist', join(place, 'dist'), { recursive: true });
  for (const name of ['package.json', 'policies', 'schemas', 'templates'])
    symlinkSync(resolve(name), join(place, name));
  const cli = join(place, 'dist', 'cli');
  const bundles = readdirSync(cli).filter((name) => name.endsWith('.cjs') && name !== 'main.cjs');
  execFileSync(target, ['scripts/compile-code.mjs', ...bundles.map((name) => join(cli, name))]);
  return [target, join(cli, 'main.cjs')];
}
