/** The folders at the root of an image that sjs puts there; all else is its base's. */
export const OWN_FOLDERS: readonly string[] = ['app', 'in', 'out', '.sjs'];

/** Where the preload lies in an image that declares secrets. */
export const SECRETS_PRELOAD = '/.sjs/secrets-preload.cjs';

/** Where the preload lies that freezes clock and random numbers, and beside it what it freezes them to. */
export const DETERMINISM_PRELOAD = '/.sjs/determinism.cjs';
export const DETERMINISM_CONFIG = '/.sjs/determinism.json';

/** Where the program lies that calls a function of the author's program; with none, it runs code that it is given. */
export const CALL_RUNNER = '/.sjs/call.cjs';
/** The same for Python. */
export const PYTHON_CALL = '/.sjs/call.py';
/** Where the preload lies that keeps Node's loader to a closed list of modules, and beside it the list. */
export const MODULES_PRELOAD = '/.sjs/modules.cjs';
export const MODULES_CONFIG = '/.sjs/modules.json';
/** Where the file lies that starts a Python program. */
export const PYTHON_START = '/.sjs/start.py';

/** Files of sjs's own that an image may have. */
export const OWN_FILES: readonly string[] = [
  SECRETS_PRELOAD,
  DETERMINISM_PRELOAD,
  DETERMINISM_CONFIG,
  CALL_RUNNER,
  PYTHON_CALL,
  MODULES_PRELOAD,
  MODULES_CONFIG,
  PYTHON_START,
];

/** Where an image keeps the list of what was made of TypeScript files: a clone leaves it behind, and builds it again. */
export const STRIPPED_LIST = '/.sjs/stripped.json';

/** Where an image keeps the list of its npm packages, in their layer. */
export const PACKAGE_LIST = '/.sjs/packages.json';

/** The name of the JavaScript file that a TypeScript file becomes. */
export const javascriptName = (path: string): string => path.replace(/\.([cm]?)ts$/, '.$1js');

/** The name of the TypeScript file that a JavaScript file was made of. */
export const typescriptName = (path: string): string => path.replace(/\.([cm]?)js$/, '.$1ts');

/** The path in the source of a script that a command names. */
export const scriptPath = (script: string): string => script.replace(/^(?:\/app\/|(?:\.\/)+)/, '');
