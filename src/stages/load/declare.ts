import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SjsError, type ErrorCode, type Problem } from '../../errors.js';
import { sha256 } from '../../model/digest.js';
import { flagOf, GRANTED_OUT_BYTES, type Grants } from '../../model/grants.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import { commandOf, type Language } from '../../model/language.js';
import type { LoadedSandbox, Resources } from '../../model/sandbox.js';
import type { ValidTexts } from '../../model/schema-check.js';
import { parseYaml } from '../../model/yaml-document.js';
import { parseSandbox } from './load-sandbox.js';
import { readConfigFile } from './read-config-file.js';

/** A program that no sandbox.yaml declares. */
export interface Program {
  readonly name: string;
  /** File or folder, relative to the folder it is in. */
  readonly source: string;
  readonly entrypoint: string;
  readonly language: Language;
  readonly args: readonly string[];
}

/** How long a server runs for which nobody says; sandbox.yaml has to say it. */
const SERVER_TIMEOUT = '10m';

/** A sandbox.yaml as written. */
interface Written {
  readonly spec: Readonly<Record<string, unknown>>;
}

/**
 * The sandbox of a program without a sandbox.yaml: what one would say, checked by the same rules, with every default of
 * the operator.
 * @param file the program, for messages
 * @param directory its folder, when that is not the file's
 * @throws SjsError `USAGE`, `ENV_REFUSED`: the problems of the flags that were given.
 */
export async function declare(
  program: Program,
  file: string,
  grants: Grants,
  valid?: ValidTexts,
  directory?: string,
): Promise<LoadedSandbox> {
  const { name, source, entrypoint, language, args } = program;
  const written = {
    apiVersion: 'sjs/v1',
    kind: 'Sandbox',
    metadata: { name },
    // What a run gives comes behind these arguments, as npm has it; `args` would give way to it.
    spec: {
      language,
      source,
      ...(args.length > 0 ? { command: [...commandOf(language, entrypoint), ...args] } : { entrypoint }),
    },
  };
  const resources = { resources: writeResources(grants.limits) };
  // Then nothing in it was chosen by anybody but the name of the file.
  const fitsSchema =
    args.length === 0 &&
    grants.command === null &&
    [grants.env, grants.secrets, grants.limits, grants.ports, grants.egress].every(
      (given) => Object.keys(given).length === 0,
    );
  const loaded = await parseWritten(
    merge({ ...written, spec: { ...written.spec, ...resources } }, grants),
    file,
    valid,
    { fitsSchema },
  );
  return {
    ...loaded,
    ...(directory !== undefined && { directory }),
    inputs: grants.inputs.map((input) => resolve(input)),
    isAdHoc: true,
    locate: () => ({}),
    excerpt: () => undefined,
  };
}

/** A sandbox.yaml with what a run grants beside it. Its limits stay: those of a run tighten them. */
export async function addGrants(file: string, grants: Grants, valid?: ValidTexts): Promise<LoadedSandbox> {
  const bytes = await readConfigFile(file);
  const parsed = await parseSandbox(bytes, file, valid);
  const loaded = { ...parsed, folder: await realpath(parsed.directory) };
  const { env, secrets, command, out, ports, egress, language } = grants;
  const isAdding =
    ports.length + egress.length > 0 ||
    Object.keys(env).length > 0 ||
    secrets.some((name) => !loaded.sandbox.secrets.includes(name)) ||
    command !== null ||
    (language !== null && language !== loaded.sandbox.language) ||
    (out && loaded.sandbox.filesystem.outBytes === null);
  const inputs = grants.inputs.map((input) => resolve(input));
  if (!isAdding) return { ...loaded, inputs };
  const granted = await parseWritten(merge(parseYaml(bytes, file).value as Written, grants), file, valid);
  return { ...loaded, digest: granted.digest, sandbox: granted.sandbox, inputs };
}

function merge(
  written: Written,
  { env, secrets, command, out, limits, ports, egress, language }: Grants,
): Written {
  const { entrypoint, command: declared, ...spec } = written.spec;
  const filesystem = (spec['filesystem'] ?? {}) as { readonly out?: unknown };
  const network = (spec['network'] ?? {}) as { readonly ports?: unknown[]; readonly egress?: unknown[] };
  const names = (spec['secrets'] ?? []) as readonly string[];
  const resources = (spec['resources'] ?? {}) as { readonly timeout?: unknown };
  return {
    ...written,
    spec: {
      ...spec,
      ...(language !== null && { language }),
      ...(command !== null
        ? { command }
        : {
            ...(entrypoint !== undefined && { entrypoint }),
            ...(declared !== undefined && { command: declared }),
          }),
      ...(command !== null && { args: [] }),
      env: { ...(spec['env'] as object | undefined), ...env },
      secrets: [...new Set([...names, ...secrets])],
      ...(ports.length > 0 && {
        resources: { timeout: SERVER_TIMEOUT, ...writeResources(limits), ...resources },
      }),
      filesystem:
        out && filesystem.out === undefined
          ? { ...filesystem, out: formatBytes(GRANTED_OUT_BYTES) }
          : filesystem,
      ...(ports.length + egress.length > 0 && {
        network: {
          ...network,
          mode: 'isolated',
          ports: [...(network.ports ?? []), ...ports],
          egress: [...(network.egress ?? []), ...egress],
        },
      }),
    },
  };
}

function writeResources(limits: Partial<Resources>): Readonly<Record<string, unknown>> {
  const { milliCpu, memoryBytes, pids, files, timeoutMs, outputBytes } = limits;
  return {
    ...(milliCpu !== undefined && { cpu: formatCpu(milliCpu) }),
    ...(memoryBytes !== undefined && { memory: formatBytes(memoryBytes) }),
    ...(pids !== undefined && { pids }),
    ...(files !== undefined && { files }),
    ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
    ...(outputBytes !== undefined && { output: formatBytes(outputBytes) }),
  };
}

/** Through the same door as any sandbox.yaml: JSON is YAML, in ASCII always so. */
async function parseWritten(
  written: object,
  file: string,
  valid?: ValidTexts,
  options: { readonly fitsSchema?: boolean } = {},
): Promise<LoadedSandbox> {
  const lines = Object.entries(written).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`);
  const text = lines
    .join('')
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  try {
    return { ...(await parseSandbox(Buffer.from(text), file, valid, options)), digest: sha256(text) };
  } catch (error) {
    throw error instanceof SjsError ? asFlagError(error) : error;
  }
}

/** What is wrong with the flags, where nobody wrote a sandbox.yaml that could be named. */
function asFlagError(error: SjsError): SjsError {
  const problems = error.problems.map(({ message, location, next }): Problem & { code: ErrorCode } => {
    const path = location?.path ?? '';
    const said = path !== '' && message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
    const code: ErrorCode = path.startsWith('spec.env') ? 'ENV_REFUSED' : 'USAGE';
    return { message: `${flagOf(path) ?? path}: ${said}`, ...(next !== undefined && { next }), code };
  });
  const [first] = problems;
  if (first === undefined) return error;
  const next = first.next ?? 'sjs run --help shows how';
  if (problems.length === 1) return new SjsError(first.code, first.message, { next });
  return new SjsError(first.code, `${problems.length} flags cannot be taken`, { problems, next });
}
