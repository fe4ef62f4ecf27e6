import { CALL_RUNNER, PYTHON_CALL } from './own-files.js';

/** Languages that a sandbox can be written in; each has a template, and a base that `scripts/bases/` describes. */
export const LANGUAGES = ['node', 'deno', 'bun', 'python'] as const;

/** One of them. */
export type Language = (typeof LANGUAGES)[number];

/** One that a seal names: of a seal without any, the language is Node. */
export type OtherLanguage = Exclude<Language, 'node'>;

/** What people call it. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  node: 'Node',
  deno: 'Deno',
  bun: 'Bun',
  python: 'Python',
};

/** The program that starts a file of the language. */
const PROGRAMS: Readonly<Record<Language, string>> = {
  node: 'node',
  deno: 'deno',
  bun: 'bun',
  python: 'python3',
};

/** Permissions that its runtime can withhold, and that a sandbox can therefore state. */
export const STATEABLE: Readonly<
  Record<Language, readonly ('childProcess' | 'worker' | 'addons' | 'wasi')[]>
> = {
  node: ['childProcess', 'worker', 'addons', 'wasi'],
  deno: ['childProcess', 'addons'],
  bun: [],
  python: [],
};

/** The ending of code that is in no file. */
export const CODE_ENDINGS: Readonly<Record<Language, string>> = {
  node: '.js',
  deno: '.ts',
  bun: '.ts',
  python: '.py',
};

/** What a language runs without being told; a file without an ending is CommonJS to Node. */
const JAVASCRIPT = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];
export const FILE_ENDINGS: Readonly<Record<Language, readonly string[]>> = {
  node: JAVASCRIPT,
  deno: [...JAVASCRIPT, '.jsx', '.tsx'],
  bun: [...JAVASCRIPT, '.jsx', '.tsx'],
  python: ['.py'],
};

/** The folder below /app that packages of a lockfile are laid into. */
export type PackagesFolder = 'node_modules' | 'site-packages';
export const packagesFolder = (language: Language): PackagesFolder =>
  language === 'python' ? 'site-packages' : 'node_modules';

/** The command that starts a file of the source. */
export const commandOf = (language: Language, entrypoint: string): readonly string[] => [
  PROGRAMS[language],
  `/app/${entrypoint.replace(/^(?:\.\/)+/, '')}`,
];

/** What in an image calls the functions of a program, or runs code that it is given. */
export const callRunner = (language: Language): string => (language === 'python' ? PYTHON_CALL : CALL_RUNNER);

/** The command of a sandbox that runs the code that comes with each run. */
export const codeCommand = (language: Language): readonly [program: string, runner: string] => [
  PROGRAMS[language],
  callRunner(language),
];

/**
 * Whether a command starts the runtime of its language: then sjs gives it its options, and the author none. That of the
 * base alone: a program of the author's may have the same name.
 */
export function startsRuntime(language: Language, [program]: readonly string[]): boolean {
  const name = PROGRAMS[language];
  return [name, `/usr/local/bin/${name}`, `/usr/bin/${name}`].some((runtime) => runtime === program);
}

/** Variables that the runtime of a language finds set, unless the author sets them otherwise. */
export const RUNTIME_ENV: Readonly<Record<Language, Readonly<Record<string, string>>>> = {
  node: {},
  // Without a folder that it can write to it tries for 150 ms. It colours what it writes, terminal or not.
  deno: { DENO_DIR: '/tmp/.deno', DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
  // What is transpiled is not kept: nothing of it would be there at the next run.
  bun: { BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0' },
  python: {},
};

/** The language that a file's ending says: `.py` is Python, and JavaScript is Node's where nothing else is said. */
export function languageOfFile(path: string): Language | null {
  const ending = /\.[^./]*$/.exec(path)?.[0] ?? '';
  return (['python', 'node'] as const).find((language) => FILE_ENDINGS[language].includes(ending)) ?? null;
}

/** The language that a base is for, when the last part of its repository is the name of one. */
export function languageOfBase(image: string): Language | null {
  const name = image.split('/').at(-1)?.split(/[:@]/, 1)[0];
  return LANGUAGES.find((language) => language === name) ?? null;
}

/**
 * The language of a sandbox that states none: Python by its program's ending, else what its base is for, else what starts
 * its program. Null when nothing says.
 */
export function inferLanguage({
  base,
  entrypoint,
  command,
}: {
  readonly base?: { readonly image?: string };
  readonly entrypoint?: string;
  readonly command?: readonly string[];
}): Language | null {
  const ofFile = entrypoint === undefined ? null : languageOfFile(entrypoint);
  if (ofFile === 'python') return ofFile;
  const started = command && LANGUAGES.find((language) => startsRuntime(language, command));
  return languageOfBase(base?.image ?? '') ?? ofFile ?? started ?? null;
}
