import { lstat, realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { SjsError } from '../../errors.js';
import { sha256 } from '../../model/digest.js';
import type { LoadedSandbox } from '../../model/sandbox.js';
import { SANDBOX_SCHEMA } from '../../model/sandbox-schema.js';
import { checkSchema, toError, type SchemaFindings, type ValidTexts } from '../../model/schema-check.js';
import { parseYaml } from '../../model/yaml-document.js';
import { checkValues } from './check-values.js';
import { readConfigFile } from './read-config-file.js';
import { toSandbox, type SandboxFile } from './to-sandbox.js';

/**
 * Reads and validates one sandbox.yaml; every default is filled in.
 * @param path the file, or its folder
 * @param valid what was found valid before
 * @throws SjsError `FILE_*`, `YAML_*`; `SANDBOX_INVALID`, `NOT_YET`, `BASE_NOT_PINNED` or `REFERENCE_INVALID` with all
 * problems at once.
 */
export async function loadSandbox(path: string, valid?: ValidTexts): Promise<LoadedSandbox> {
  const file = await findFile(resolve(path));
  const loaded = await parseSandbox(await readConfigFile(file), file, valid);
  return { ...loaded, folder: await realpath(loaded.directory) };
}

/** The sandbox.yaml of a folder, or null. Throws `SANDBOX_INVALID` where there are two. */
export async function findSandboxFile(folder: string): Promise<string | null> {
  const names = ['sandbox.yaml', 'sandbox.yml'].map((name) => join(folder, name));
  const present = (
    await Promise.all(
      names.map((name) =>
        lstat(name).then(
          () => [name],
          () => [],
        ),
      ),
    )
  ).flat();
  if (present.length > 1) {
    throw new SjsError('SANDBOX_INVALID', `${folder} has both sandbox.yaml and sandbox.yml`, {
      next: 'keep one of them',
    });
  }
  return present[0] ?? null;
}

/**
 * {@link loadSandbox} without the file system.
 * @param options.fitsSchema of a text that sjs wrote: the schema says nothing of it, and to load what checks that takes as
 * long as the rest; the values are judged all the same
 */
export async function parseSandbox(
  bytes: Uint8Array,
  file: string,
  valid?: ValidTexts,
  options: { readonly fitsSchema?: boolean } = {},
): Promise<LoadedSandbox> {
  const document = parseYaml(bytes, file);
  const digest = sha256(bytes);
  const key = sha256(`sandbox\n${digest}`);
  if (options.fitsSchema || !(await valid?.has(key))) {
    const findings: SchemaFindings = options.fitsSchema
      ? { problems: [], hasFault: () => false, sound: document.value }
      : await checkSchema(document, SANDBOX_SCHEMA, 'sandbox');
    // What fits the schema is a sandbox, whatever the file is called: it is judged to the end, and may be quoted.
    const isOurs = document.mayQuote || findings.problems.length === 0;
    const all = [...findings.problems, ...(isOurs ? checkValues(document, findings) : [])];
    if (all.length > 0) throw toError(all, file, 'sandbox');
    if (!options.fitsSchema) await valid?.add(key);
  }
  return {
    file,
    directory: dirname(file),
    digest,
    sandbox: toSandbox(document.value as SandboxFile),
    locate: (place) => document.locate(place),
    excerpt: (place) => document.excerpt(place),
  };
}

async function findFile(path: string): Promise<string> {
  const stats = await lstat(path).catch(() => null);
  if (!stats?.isDirectory()) return path;
  return (await findSandboxFile(path)) ?? join(path, 'sandbox.yaml');
}
