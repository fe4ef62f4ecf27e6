import { execFile } from 'node:child_process';
import { cp, mkdtemp, mkdir, rm, symlink, writeFile, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll } from '@jest/globals';

/** What global-setup.mjs made. */
export interface World {
  readonly directory: string;
  /** `127.0.0.1:port` */
  readonly registry: string;
  /** Repository of the signed base. */
  readonly repository: string;
  readonly version: string;
  /** Manifest digest of the base. */
  readonly digest: string;
  readonly reference: string;
  /** cosign key that signed it; its password is empty. */
  readonly keyFile: string;
  readonly publicKey: string;
  readonly policyFile: string;
}

export const world = JSON.parse(process.env['SJS_TEST_WORLD'] ?? '{}') as World;

const temporary: string[] = [];

/** A folder that goes away with the test file. */
export async function makeFolder(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-case-'));
  temporary.push(folder);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** Registers the removal of everything {@link makeFolder} made. Call it once in a test file. */
export function cleanFolders(): void {
  afterAll(async () => {
    await Promise.all(temporary.map((folder) => rm(folder, { recursive: true, force: true })));
  });
}

/** The policy of the world, under which sandboxes may have a network; `allow` is what they may declare. */
export async function networkedPolicy(allow: string): Promise<string> {
  const file = join(await makeFolder(), 'networked.yaml');
  const text = await readFile(world.policyFile, 'utf8');
  const lines = `kind: Policy\nextends: networked\nallow: ${allow}\n`;
  await writeFile(file, text.replace('kind: Policy\n', lines), { mode: 0o600 });
  return file;
}

/** A sandbox.yaml with the given lines under `spec`. */
export function sandboxYaml(name: string, spec = ''): string {
  return `apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: ${name} }\nspec:\n  language: node\n  source: .\n  entrypoint: index.js\n${spec}`;
}

/** What a process printed and how it ended. */
export interface ProcessResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A copy of the built sjs as it is installed, in a folder of its own: for `root` of {@link runSjs}. */
export async function installSjs(): Promise<string> {
  const root = await makeFolder();
  for (const part of ['dist', 'policies', 'schemas', 'templates', 'package.json']) {
    await cp(resolve(part), join(root, part), { recursive: true });
  }
  await symlink(resolve('node_modules'), join(root, 'node_modules'));
  return root;
}

/** Runs the built command line with an SJS_HOME of its own; the one of `root` where another installation is meant. */
export function runSjs(
  home: string,
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string; cwd?: string; root?: string } = {},
): Promise<ProcessResult> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [resolve(options.root ?? '.', 'dist/cli/main.cjs'), ...args],
      {
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: home,
          SJS_HOME: join(home, 'sjs'),
          SJS_POLICY: world.policyFile ?? '',
          ...options.env,
        },
        cwd: options.cwd ?? home,
        maxBuffer: 64 * 1024 ** 2,
      },
      (error, stdout, stderr) =>
        done({ code: error ? ((error.code as unknown as number) ?? 1) : 0, stdout, stderr }),
    );
    child.stdin?.end(options.input ?? '');
  });
}
