import { access, mkdir, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isErrno, SjsError } from '../errors.js';

/** What init can write. */
export const INIT_TEMPLATES = ['node'] as const;

/** A starting point for a sandbox. */
export type InitTemplate = (typeof INIT_TEMPLATES)[number];

/**
 * Writes a commented `sandbox.yaml`, a program and a `.sjsignore` into a folder, which is made when it is not there.
 * Files that exist are never overwritten.
 * @returns absolute paths of the files written
 * @throws SjsError `USAGE` when the folder has a sandbox.yaml already.
 */
export async function initSandbox(directory: string, schemaFile: string): Promise<readonly string[]> {
  const folder = resolve(directory);
  await mkdir(folder, { recursive: true });
  for (const name of ['sandbox.yaml', 'sandbox.yml']) {
    if (await exists(join(folder, name))) {
      throw new SjsError('USAGE', `${join(folder, name)} exists already`, {
        next: 'edit it, or choose another folder',
      });
    }
  }
  const written: string[] = [];
  for (const [name, text] of Object.entries(files(nameOf(folder), schemaFile))) {
    try {
      await writeFile(join(folder, name), text, { flag: 'wx' });
      written.push(join(folder, name));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
  return written;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** An RFC 1123 label from a folder's name. */
function nameOf(folder: string): string {
  const label = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return label === '' ? 'my-sandbox' : label;
}

function files(name: string, schemaFile: string): Record<string, string> {
  return {
    'sandbox.yaml': `# yaml-language-server: $schema=${schemaFile}
# What the code is, and how little it may do. Check with: sjs validate · sjs plan
apiVersion: sjs/v1
kind: Sandbox
metadata:
  name: ${name}
  version: 0.1.0
spec:
  language: node
  # The base image; without this the operator's policy decides (defaults.base).
  # base: { image: registry.example.com/base/node, version: ">=24 <25" }
  source: .
  entrypoint: index.js
  args: []
  # env: { TZ: UTC }
  # secrets: [API_TOKEN]            # names only; values come with sjs run --secret API_TOKEN
  # filesystem: { tmp: 64Mi, out: 4Mi }  # files the program leaves in /out are kept with the run
  network: { mode: none }           # loopback only
  resources: { cpu: 1, memory: 256Mi, pids: 64, files: 1024, timeout: 30s, output: 1Mi }
`,
    'index.js': `// Arguments come after \`--\`: sjs run <tag> -- Ada
const [name = 'world'] = process.argv.slice(2);
console.log(\`hello, \${name}\`);
`,
    '.sjsignore': `# What stays out of the image, as in .dockerignore
node_modules
**/*.test.js
`,
  };
}
