import { createReadStream } from 'node:fs';
import { parseBytes, parseCpu, parseDuration, SjsError, type Resources } from '../index.js';
import type { OwnStdin } from './own-stdin.js';
import type { OptionSpec, VerbInput } from './verb.js';

/** Options that tighten a sealed limit. */
export const LIMIT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  memory: { short: 'm', value: 'SIZE', describe: 'at most this much memory, as 64Mi' },
  cpu: { also: ['cpus'], value: 'N', describe: 'at most this much CPU, as 0.5 or 500m' },
  pids: { also: ['pids-limit'], value: 'N', describe: 'at most this many processes and threads' },
  files: { value: 'N', describe: 'at most this many open files a process' },
  timeout: { value: 'TIME', describe: 'end it after this time, as 500ms, 10s or 2m' },
  'output-limit': { value: 'SIZE', describe: 'end it after this much output, as 1Mi' },
};

const parseCount = (text: string): number | undefined =>
  /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;

const SIZE = 'write it as 64Mi, 1Gi or a number of bytes';

const LIMITS: readonly (readonly [
  option: string,
  key: keyof Resources,
  parse: (text: string) => number | undefined,
  next: string,
])[] = [
  ['memory', 'memoryBytes', parseBytes, SIZE],
  ['cpu', 'milliCpu', parseCpu, 'write it as 1, 0.5 or 500m'],
  ['pids', 'pids', parseCount, 'write a whole number'],
  ['files', 'files', parseCount, 'write a whole number'],
  ['timeout', 'timeoutMs', parseDuration, 'write it as 500ms, 10s or 2m'],
  ['output-limit', 'outputBytes', parseBytes, SIZE],
];

/** The limits asked for. Zero, docker's word for no limit, is refused. */
export function parseLimits(input: VerbInput): Partial<Resources> {
  const limits: Partial<Record<keyof Resources, number>> = {};
  for (const [option, key, parse, next] of LIMITS) {
    const text = input.value(option);
    if (text === undefined) continue;
    const amount = parse(text);
    if (amount === undefined) {
      throw new SjsError('USAGE', `--${option} ${JSON.stringify(text)} is not understood`, { next });
    }
    if (amount < 1) throw new SjsError('USAGE', `--${option} ${text} is no limit`, { next });
    limits[key] = amount;
  }
  return limits;
}

/** `NAME=VALUE` as given, `NAME` from the environment; as with docker, a name that is not set there is left out. */
export function parseEnv(words: readonly string[], env: NodeJS.ProcessEnv): Record<string, string> {
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    const name = at === -1 ? word : word.slice(0, at);
    if (name === '') {
      throw new SjsError('USAGE', `--env ${JSON.stringify(word)} has no name`, {
        next: 'write --env NAME=VALUE',
      });
    }
    const value = at === -1 ? ownValue(env, name) : word.slice(at + 1);
    if (value !== undefined) values.set(name, value);
  }
  return Object.fromEntries(values);
}

/**
 * The words of files as docker's `--env-file` has them: a `NAME=VALUE` a line, taken as it is, quotes too; `NAME` alone
 * from the environment; `#` begins a remark.
 */
export async function readEnvFiles(files: readonly string[]): Promise<readonly string[]> {
  const texts = await Promise.all(files.map(readEnvFile));
  return texts.flatMap((text, at) =>
    text.split(/\r?\n/).flatMap((line, index) => {
      const word = line.trimStart();
      if (word === '' || word.startsWith('#')) return [];
      if (/^[^=\s]+(?:=|\s*$)/.test(word)) return [word.includes('=') ? word : word.trim()];
      // The line may hold a secret: it is not repeated.
      throw new SjsError('USAGE', `line ${index + 1} of ${files[at]} is no NAME=VALUE`, {
        next: 'write one variable a line, and # before remarks',
      });
    }),
  );
}

async function readEnvFile(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readBounded(file));
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    const why = cause instanceof TypeError ? 'is not UTF-8 text' : 'cannot be read';
    throw new SjsError('USAGE', `the file of variables ${file} ${why}`, {
      cause,
      next: 'name a file with one NAME=VALUE a line',
    });
  }
}

/** More than any variable or secret may have. */
const MOST_BYTES = 4 * 1024 ** 2;

/** A file that may be a pipe (`<(…)` of a shell), or have been made a link to what never ends. */
async function readBounded(file: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new SjsError('FILE_TOO_LARGE', `${file} is larger than 4Mi`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** `toString` is in every object, and in no environment. */
const ownValue = (env: NodeJS.ProcessEnv, name: string): string | undefined =>
  Object.hasOwn(env, name) ? env[name] : undefined;

/**
 * Values of secrets: `NAME` from the environment, `NAME=@FILE` from a file, `NAME=@-` from standard input, byte for byte.
 * Never from the command line: every user of the machine can read that, and shells keep it.
 */
export async function readSecrets(
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  stdin: OwnStdin,
): Promise<Record<string, string>> {
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    const name = at === -1 ? word : word.slice(0, at);
    const next = `write --secret ${name || 'NAME'} to take it from your environment, or --secret ${name || 'NAME'}=@FILE (@- for standard input)`;
    if (name === '') throw new SjsError('USAGE', '--secret has no name', { next });
    if (at !== -1 && word[at + 1] !== '@') {
      throw new SjsError(
        'USAGE',
        `the value of the secret ${name} stands on the command line, where others can read it and shells keep it`,
        { next },
      );
    }
    values.set(
      name,
      at === -1 ? fromEnvironment(name, env, next) : await fromFile(name, word.slice(at + 2), stdin),
    );
  }
  return Object.fromEntries(values);
}

function fromEnvironment(name: string, env: NodeJS.ProcessEnv, next: string): string {
  const value = ownValue(env, name);
  if (value !== undefined) return value;
  throw new SjsError('SECRET_MISSING', `${name} is not set in your environment`, { next });
}

async function fromFile(name: string, file: string, stdin: OwnStdin): Promise<string> {
  try {
    const bytes = file === '-' ? await stdin.read(`the secret ${name}`) : await readBounded(file);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    const message =
      cause instanceof TypeError
        ? `the file of the secret ${name} is not UTF-8 text`
        : `the file of the secret ${name} cannot be read`;
    throw new SjsError('SECRET_MISSING', `${message}: ${file}`, { cause });
  }
}
