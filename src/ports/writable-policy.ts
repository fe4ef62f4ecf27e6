/** The policy file that sjs writes trust into; its other lines are the operator's. */
export interface WritablePolicy {
  /** Absolute. */
  readonly path: string;
  /**
   * Changes its text and replaces the file whole, alone; it is made when it is not there. False when nothing was to
   * change.
   * @param change gets the text, null for a file that is not there yet, and the path that the text was read from
   * @throws SjsError `POLICY_UNREADABLE`, and what the change throws
   */
  readonly change: (change: (before: string | null, file: string) => string) => Promise<boolean>;
}
