import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Arborist from '@npmcli/arborist';
import { afterAll, expect, test } from '@jest/globals';
import { choosePackages } from '../../../../src/stages/dependencies/choose-packages.js';
import type { Dependencies } from '../../../../src/model/sandbox.js';

/** What of a tree `npm ci` would install. */
interface OracleNode {
  readonly location: string;
  readonly isRoot: boolean;
  readonly inert: boolean;
  readonly extraneous: boolean;
  shouldOmit(omit: ReadonlySet<string>): boolean;
}

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const PLATFORM = { os: 'linux', cpu: 'x64', libc: 'glibc', node: '24.21.0' } as const;
type Platform = { readonly [Key in keyof typeof PLATFORM]: (typeof PLATFORM)[Key] | 'darwin' | 'arm64' | 'musl' };

async function askArborist(
  manifest: string,
  lock: string,
  omit: Dependencies['omit'],
  { os, cpu, libc, node }: Platform,
): Promise<string[]> {
  const path = await mkdtemp(join(tmpdir(), 'sjs-oracle-'));
  folders.push(path);
  await writeFile(join(path, 'package.json'), manifest);
  await writeFile(join(path, 'package-lock.json'), lock);
  const options = { path, omit: [...omit], os, cpu, libc, nodeVersion: node, offline: true, force: true };
  const tree = (await new Arborist(options).buildIdealTree()) as unknown as {
    inventory: { values(): Iterable<OracleNode> };
  };
  return [...tree.inventory.values()]
    .filter((one) => !one.isRoot && !one.inert && !one.extraneous && !one.shouldOmit(new Set(omit)))
    .map(({ location }) => location)
    .sort();
}

const OMITS: readonly Dependencies['omit'][] = [
  [],
  ['dev'],
  ['optional'],
  ['peer'],
  ['dev', 'optional'],
  ['dev', 'peer'],
  ['dev', 'optional', 'peer'],
];
const PLATFORMS: readonly Platform[] = [
  PLATFORM,
  { ...PLATFORM, libc: 'musl' },
  { ...PLATFORM, cpu: 'arm64' },
  { ...PLATFORM, os: 'darwin', cpu: 'arm64' },
];

/** Real lockfiles: this project's own has dev, optional and peer dependencies, and packages for many platforms. */
const FOLDERS = ['.', 'examples/express-api', 'examples/temporary-link'];

test.each(FOLDERS.flatMap((folder) => OMITS.map((omit) => [folder, omit] as const)))(
  'what is laid in of %s without %j is what npm ci would install',
  async (folder, omit) => {
    const manifestText = readFileSync(join(folder, 'package.json'), 'utf8');
    const lockText = readFileSync(join(folder, 'package-lock.json'), 'utf8');
    const allowAll = JSON.stringify({ ...(JSON.parse(manifestText) as object), allowScripts: allScripts(lockText) });
    for (const platform of PLATFORMS) {
      const files = { file: 'package-lock.json', lockText, manifestFile: 'package.json', manifestText: allowAll };
      const { packages } = choosePackages(files, omit, platform as typeof PLATFORM, () => true);
      const expected = await askArborist(manifestText, lockText, omit, platform);
      expect(packages.map(({ location }) => location)).toEqual(expected);
    }
  },
  120_000,
);

function allScripts(lockText: string): Record<string, false> {
  const { packages } = JSON.parse(lockText) as { packages: Record<string, object> };
  return Object.fromEntries(Object.keys(packages).map((place) => [place.replace(/.*node_modules\//, ''), false]));
}
