/** A case of the attack suite, in words. */
export interface Case {
  /** The forbidden act. */
  readonly tried: string;
  /** What must stop it. */
  readonly control: string;
  /** What the negative control takes away; or, of something that is refused, the twin that is accepted. */
  readonly removed: string;
}

/**
 * Every case of `test/attack/`, by its number in the catalogue of attacks. The table of `make attack` and the one in
 * docs/security-model.md are made from this; a test holds that each is tried exactly once.
 */
export const CASES = {
  // b7 Run: privilege and kernel surface
  K01: {
    tried: 'be root, or a user of the host',
    control: 'User: a numeric uid and gid of 10000 or more, no groups',
    removed: 'User',
  },
  K02: {
    tried: 'have a capability, gain one by exec, call past seccomp',
    control: 'CapDrop ALL, no-new-privileges, seccomp',
    removed: 'each of the three in turn',
  },
} satisfies Readonly<Record<string, Case>>;

/** The number of a case. */
export type CaseId = keyof typeof CASES;
