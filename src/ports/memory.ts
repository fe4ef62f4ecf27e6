import type { Digest } from '../model/digest.js';

/** Findings about immutable content, as this version of sjs made them. Never fails; what it gives back is to be checked. */
export interface Memory {
  get(key: Digest): Promise<unknown>;
  set(key: Digest, value: unknown): Promise<void>;
}
