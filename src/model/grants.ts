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
}

/** Code that is in no file. */
export interface CodeTarget {
  readonly code: Uint8Array;
  /** Where it came from, and what it is called. */
  readonly name: 'stdin' | 'eval';
}

/** Size of /out when a run asks for one that no sandbox.yaml declares. */
export const GRANTED_OUT_BYTES = 64 * 1024 ** 2;
