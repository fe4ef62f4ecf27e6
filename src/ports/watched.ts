/** Something that others can change, and that says so by itself: who asks whether it did need not look. */
export interface Watched {
  /** To be called before it is looked at: what it is from now on counts. */
  begin(): void;
  /** Whether nothing has happened to it since {@link begin}. False too when it may have, and nobody heard. */
  readonly isUnchanged: boolean;
  close(): void;
}
