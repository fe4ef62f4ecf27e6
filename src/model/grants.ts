import type { Language } from './language.js';
import type { Resources } from './sandbox.js';

/** What a run of a path, or of code that is in no file, adds to what gets sealed (SPEC §7, Targets). */
export interface Grants {
  readonly env: Readonly<Record<string, string>>;
  /** Names only. */
  readonly secrets: readonly string[];
  /** The full argument list instead of the declared one. */
  readonly command: readonly string[] | null;
  /** Files that lie read-only at /in, each under its own name. */
  readonly inputs: readonly string[];
  /** Whether there has to be a folder /out. */
  readonly out: boolean;
  /** Limits for code that has no sandbox.yaml; they only tighten one that has. */
  readonly limits: Partial<Resources>;
  /** As `spec.network.ports` and `spec.network.egress` write them. */
  readonly ports: readonly string[];
  readonly egress: readonly string[];
  /** What the program is written in, where nothing else says; null: nobody said. */
  readonly language: Language | null;
}

/** Code that is in no file. */
export interface CodeTarget {
  readonly code: Uint8Array;
  /** Where it came from, and what it is called. */
  readonly name: 'stdin' | 'eval' | 'code';
}

/** Size of /out when a run asks for one that no sandbox.yaml declares. */
export const GRANTED_OUT_BYTES = 64 * 1024 ** 2;

/** The flags that declare what a sandbox.yaml says at a path. */
const FLAGS: readonly (readonly [path: RegExp, flag: (rest: string) => string])[] = [
  [/^spec\.env\.?(.*)$/s, (name) => (name === '' ? '--env' : `--env ${name}`)],
  [/^spec\.secrets\b.*$/s, () => '--secret'],
  [/^spec\.command\b.*$/s, () => '--cmd'],
  [/^spec\.resources\.output$/, () => '--output-limit'],
  [/^spec\.resources\.(\w+)$/, (name) => `--${name}`],
  [/^spec\.filesystem\b.*$/s, () => '--out'],
  [/^spec\.network\.egress\b.*$/s, () => '--egress'],
  [/^spec\.network\.mode$/, () => 'the network'],
  [/^spec\.network\b.*$/s, () => '--port'],
  [/^spec\.language$/, () => '--language'],
  [/^spec\.(?:source|entrypoint)$/, () => 'the program'],
];

/** The flag of `sjs run` that a path of the declared sandbox came from, for code that has no sandbox.yaml; null for none. */
export function flagOf(path: string): string | null {
  const [pattern, flag] = FLAGS.find(([one]) => one.test(path)) ?? [];
  return flag?.(pattern?.exec(path)?.[1] ?? '') ?? null;
}
