import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Calls with the paths of files of the given texts, which nobody else can read and which are removed afterwards. */
export async function withTemporaryFiles<Name extends string, T>(
  texts: Readonly<Record<Name, string>>,
  use: (paths: Readonly<Record<Name, string>>) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-files-'));
  try {
    const files = Object.entries<string>(texts).map(
      ([name, text]) => [name, join(folder, name), text] as const,
    );
    await Promise.all(files.map(([, path, text]) => writeFile(path, text)));
    return await use(Object.fromEntries(files.map(([name, path]) => [name, path])) as Record<Name, string>);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
