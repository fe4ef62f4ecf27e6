import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error It has no types.
import arborist from '@npmcli/arborist';
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

const Arborist = arborist as new (options: object) => {
  buildIdealTree(): Promise<{ readonly inventory: { values(): Iterable<OracleNode> } }>;
};

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const PLATFORM = { os: 'linux', cpu: 'x64', libc: 'glibc', node: '24.21.0' } as const;
type Platform = Parameters<typeof choosePackages>[2];

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
  const tree = await new Arborist(options).buildIdealTree();
  return [...tree.inventory.values()]
    .filter((one) => !one.isRoot && !one.inert && !one.extraneous && !one.shouldOmit(new Set(omit)))
    .map(({ location }) => location)
    .sort();
}

const DARWIN = { ...PLATFORM, os: 'darwin', cpu: 'arm64' } as const;
const MUSL = { ...PLATFORM, libc: 'musl' } as const;

/** Real lockfiles: this project's own has dev, optional and peer dependencies, and packages for many platforms. */
const CASES: readonly (readonly [string, Dependencies['omit'], Platform])[] = [
  ['.', [], PLATFORM],
  ['.', ['dev'], MUSL],
  ['.', ['dev', 'optional', 'peer'], PLATFORM],
  ['.', ['optional'], DARWIN],
  ['.', ['peer'], PLATFORM],
  ['examples/express-api', ['dev'], PLATFORM],
  ['examples/temporary-link', [], DARWIN],
];

test.each(CASES)(
  'what is laid in of %s without %j is what npm ci would install',
  async (folder, omit, platform) => {
    const manifestText = readFileSync(join(folder, 'package.json'), 'utf8');
    const lockText = readFileSync(join(folder, 'package-lock.json'), 'utf8');
    const allowScripts = allScripts(lockText);
    const allowAll = JSON.stringify({ ...(JSON.parse(manifestText) as object), allowScripts });
    const files = {
      file: 'package-lock.json',
      lockText,
      manifestFile: 'package.json',
      manifestText: allowAll,
    };
    const { packages } = choosePackages(files, omit, platform, () => true);
    const expected = await askArborist(manifestText, lockText, omit, platform);
    expect(packages.map(({ location }) => location)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(10);
  },
  120_000,
);

function allScripts(lockText: string): Record<string, false> {
  const { packages } = JSON.parse(lockText) as { packages: Record<string, object> };
  return Object.fromEntries(
    Object.keys(packages).map((place) => [place.replace(/.*node_modules\//, ''), false]),
  );
}
