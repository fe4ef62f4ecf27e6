import { existsSync, readFileSync, statSync } from 'node:fs';
import { LANGUAGES, SjsError, type CodeTarget } from '../index.js';
import { LIMIT_OPTIONS, parseEnv, parseLimits, readEnvFiles, readSecrets } from './run-request.js';
import { chooseTarget, parseLanguage } from './run-target.js';
import type { CliContext, OptionSpec, VerbInput } from './verb.js';
import { isCi } from './workflow-commands.js';

/** Options that say what is run, or called, and with which rights. */
export const TARGET_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  eval: { value: 'CODE', describe: 'run this code; so does -e CODE without a target' },
  env: {
    short: 'e',
    value: 'NAME=VALUE',
    many: true,
    describe: 'set a variable of the target; NAME alone takes yours',
  },
  'env-file': {
    value: 'FILE',
    many: true,
    describe: 'variables, one NAME=VALUE a line, as docker reads them',
  },
  secret: {
    value: 'NAME',
    many: true,
    describe: 'a secret, from your environment; NAME=@FILE takes it from a file, NAME=@- from standard input',
  },
  language: {
    value: 'NAME',
    describe: `what the program is written in: ${LANGUAGES.join(', ')}; of a path or code only`,
  },
  in: { value: 'FILE', many: true, describe: 'a file that lies read-only at /in; of a path or code only' },
  out: { value: 'DIR', describe: 'write what the program left in /out into a new or empty folder' },
  port: {
    value: 'HOST:CONTAINER',
    many: true,
    describe: 'publish a port on 127.0.0.1, for 10m unless --timeout says; of a path or code only',
  },
  egress: {
    value: 'NAME:PORT',
    many: true,
    describe: 'let it connect to this name; NAME:PORT=ADDRESS pins an address; of a path or code only',
  },
  ...LIMIT_OPTIONS,
  raw: { describe: 'show the output on a terminal just as it is, control sequences too' },
};

/**
 * What is to be run or called, and what is asked of it.
 * @param positionals those among which the target is
 */
export async function readTarget(input: VerbInput, positionals: readonly string[], context: CliContext) {
  const { target, envWords } = await chooseTarget(input, positionals, context.stdin);
  const envFiles = await readEnvFiles(input.values('env-file'));
  const language = parseLanguage(input.value('language'));
  const request = {
    ...(language && { language }),
    env: parseEnv([...envFiles, ...envWords], context.env),
    secrets: await readSecrets(input.values('secret'), context.env, context.stdin),
    limits: parseLimits(input),
    inputs: input.values('in'),
    ports: input.values('port'),
    egress: input.values('egress'),
  };
  return { target, request };
}

/** A name is never a path; but where a file has that name, it may have been meant. */
export function pathMeant(error: unknown, target: string | CodeTarget): unknown {
  const isUnknown = error instanceof SjsError && error.code === 'TARGET_NOT_FOUND';
  if (!isUnknown || typeof target !== 'string' || target.includes('/') || !existsSync(target)) return error;
  const path = `for the ${statSync(target).isDirectory() ? 'folder' : 'file'} of that name: sjs run ./${target}`;
  return new SjsError(error.code, error.message, {
    next: error.next?.startsWith('it was made elsewhere') ? `${error.next}; ${path}` : path,
  });
}

/** The words of this process as the system has them; null where it does not tell. */
export function readCommandLine(): Uint8Array | null {
  try {
    return readFileSync('/proc/self/cmdline');
  } catch {
    return null;
  }
}

/** How output is passed on, from the options and whether this is a CI system. */
export function passOptions(input: VerbInput, { env }: CliContext): { raw: boolean; ci: boolean } {
  return { raw: input.has('raw'), ci: isCi(env) };
}
