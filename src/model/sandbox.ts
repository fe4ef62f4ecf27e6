import type { Browser } from './base-name.js';
import type { Digest } from './digest.js';
import type { Language } from './language.js';
import type { Network } from './network.js';
import type { Subject } from './waiver.js';

/** Rights that Node's permission model can grant, and in part Deno's. A layer, never the boundary. */
export interface Permissions {
  readonly childProcess: boolean;
  readonly worker: boolean;
  readonly addons: boolean;
  readonly wasi: boolean;
}

/** Upper bounds of one run, each with its unit in its name. */
export interface Resources {
  /** Thousandths of a CPU. */
  readonly milliCpu: number;
  /** Memory and swap together, with /tmp and /out charged to it. */
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly pids: number;
  /** Open files a process. */
  readonly files: number;
  /** Wall time from the start of the container. */
  readonly timeoutMs: number;
  /** stdout and stderr together. */
  readonly outputBytes: number;
}

/** What is frozen in a Node program, so that it does the same each time. For honest programs: no boundary. */
export interface Determinism {
  /** RFC 3339 in UTC: when the program believes that it starts; null leaves the clock alone. */
  readonly clock: string | null;
  /** What random numbers come from; null leaves them alone. */
  readonly seed: number | null;
}

/** All that Node's loader gives a program, besides the files of its source. A layer, never the boundary. */
export interface Modules {
  /** Node's own modules without `node:`, sorted; `fs` brings `fs/promises`. */
  readonly builtins: readonly string[];
  /** Names of npm packages, sorted; what they depend on comes with them. */
  readonly packages: readonly string[];
}

/** What the author may write to. Sizes in bytes; `outBytes` is null when /out is not declared. */
export interface Filesystem {
  readonly tmpBytes: number;
  readonly outBytes: number | null;
}

/** The base as sandbox.yaml (or the policy's defaults) asks for it: a semver range over tags, or a pin. */
export type BaseRequest =
  { readonly image: string; readonly version: string } | { readonly image: string; readonly digest: Digest };

/** The lockfile where none is named, of the languages that have packages. */
export const DEFAULT_LOCKFILES = { node: 'package-lock.json', python: 'requirements.txt' } as const;

/** Kinds of dependencies that npm can leave out. */
export const OMITTABLE = ['dev', 'optional', 'peer'] as const;

/** Packages of a lockfile: of Node's with `package.json` beside it. */
export interface Dependencies {
  /** package-lock.json, npm-shrinkwrap.json or requirements.txt as written, relative to the sandbox.yaml. */
  readonly lockfile: string;
  /** Kinds that stay out, as `npm ci --omit` means it; of Python none. */
  readonly omit: readonly (typeof OMITTABLE)[number][];
}

/** A validated `sandbox.yaml`: every default filled in, every unit resolved. */
export interface Sandbox {
  readonly name: string;
  readonly version: string | null;
  readonly language: Language;
  /** Null: the operator's default for the language, or for the browser, decides. */
  readonly base: BaseRequest | null;
  /** The browser that the operator's base must have; absent when none is declared. */
  readonly browser?: Browser;
  /** File or folder as written, relative to the sandbox.yaml. */
  readonly source: string;
  readonly exclude: readonly string[];
  /** Files that lie at /in in the image, as written, relative to the sandbox.yaml. */
  readonly inputs: readonly string[];
  /** The full argument list. With `entrypoint` it is `['node', entrypoint]`, or what the language has for `node`. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly permissions: Permissions;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly filesystem: Filesystem;
  readonly network: Network;
  /** Limits the file states; the rest come from the policy's `defaults` and then {@link DEFAULT_RESOURCES}. */
  readonly resources: Partial<Resources>;
  readonly runtime: 'runc';
  /** The npm packages that are laid in below the source; null: none. */
  readonly dependencies: Dependencies | null;
  /** Absent when nothing is declared. */
  readonly determinism?: Determinism;
  /** The closed list; absent: everything can be loaded. */
  readonly modules?: Modules;
}

/** The defaults of SPEC §3. */
export const DEFAULT_RESOURCES: Resources = {
  milliCpu: 1000,
  memoryBytes: 256 * 1024 ** 2,
  pids: 64,
  files: 1024,
  timeoutMs: 30_000,
  outputBytes: 1024 ** 2,
};

/** The defaults of SPEC §3. */
export const DEFAULT_PERMISSIONS: Permissions = {
  childProcess: false,
  worker: false,
  addons: false,
  wasi: false,
};

/** The default user, above every uid that hosts hand out to people. */
export const DEFAULT_USER = { uid: 65532, gid: 65532 } as const;

/** Users below this are refused: they may exist on the host (ATTACKS K01). */
export const LOWEST_UID = 10_000;

/** The default size of /tmp. */
export const DEFAULT_TMP_BYTES = 64 * 1024 ** 2;

/** The gateway is sealed under this name, which no sandbox.yaml may have. */
export const GATEWAY_NAME = 'sjs-gateway';

/** Inodes of /tmp and of /out; each costs about 1 KiB of kernel memory (ATTACKS d). */
export const TMPFS_INODES = 4096;

/** The loaded file: its value, and where each key stands in it. */
export interface LoadedSandbox {
  /** Absolute path of the sandbox.yaml; of the code itself when it has none. */
  readonly file: string;
  /** Absolute path of its folder: `source` is relative to it. */
  readonly directory: string;
  /** Digest of the bytes that were parsed; the file is read once a command. */
  readonly digest: Digest;
  readonly sandbox: Sandbox;
  /** Line and column of a dotted path (`spec.resources.memory`), or of its nearest parent in the file. */
  readonly locate: (path: string) => { readonly line?: number; readonly column?: number };
  /** The printed excerpt of the file at that path, with a caret; undefined without a sandbox.yaml. */
  readonly excerpt: (path: string) => string | undefined;
  /** Whether there is no sandbox.yaml, and so no sandbox.lock beside it either. */
  readonly isAdHoc?: true;
  /** The code, when it is in no file; `source` is then its name. */
  readonly code?: Uint8Array;
  /** Real path of the folder of the sandbox.yaml, which a waiver can name; absent for code without one. */
  readonly folder?: string;
  /** For a gateway, the sandbox that it serves: what is waived for that one is waived for it. */
  readonly serves?: Pick<Subject, 'name' | 'origin'>;
  /** Absolute paths of files that a run adds to those at /in in the image. */
  readonly inputs?: readonly string[];
}

/**
 * Environment names an author or a run may not set: they steer the loader, a runtime or sjs itself. What a base says of
 * its runtime's version steers nothing.
 */
const RESERVED_ENV =
  /^(?:PYTHON(?!_VERSION$).*|DENO_(?!VERSION$).*|BUN_(?!VERSION$).*|XDG_.*|PATH|HOME|HOSTNAME|IFS|ENV|BASH_ENV|BASH_FUNC_.*|LD_.*|DYLD_.*|GLIBC_TUNABLES|GCONV_PATH|MALLOC_.*|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|NODE_REPL_.*|NODE_V8_COVERAGE|NODE_ICU_DATA|NODE_CHANNEL_.*|NODE_REDIRECT_WARNINGS|NODE_COMPILE_CACHE|NODE_USE_ENV_PROXY|NODE_PENDING_.*|NODE_TLS_REJECT_UNAUTHORIZED|NODE_DEBUG|NODE_DEBUG_NATIVE|OPENSSL_.*|SSL_CERT_.*|SSLKEYLOGFILE|UV_.*|SJS_.*)$/;

/** Whether the environment name is reserved (ATTACKS C13). Letter case does not matter. */
export function isReservedEnv(name: string): boolean {
  return RESERVED_ENV.test(name.toUpperCase());
}

/** An environment name that a POSIX shell could also set. */
export function isEnvName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name);
}

// C0 and C1 controls, line and paragraph separators, bidi controls, zero-width marks, the byte order mark, fillers that
// look like nothing, tag characters (a whole text can hide in them).
const UNPRINTABLE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e007f}]|\p{Surrogate}/u;

/** Whether the text has characters that could mislead a reader or break out of a line (ATTACKS C17, T01). */
export function hasUnprintable(text: string): boolean {
  return UNPRINTABLE.test(text);
}

/** The text with every unprintable character written as `\\u202e` (`\\u{e0041}` beyond 16 bits), safe to show. */
export function escapeUnprintable(text: string): string {
  return text.replace(new RegExp(UNPRINTABLE.source, 'gu'), (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
  });
}
