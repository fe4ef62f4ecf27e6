/** Something that others can change, and that says so by itself: who asks whether it did need not look. */
export interface Watched {
  /** To be called before it is looked at. What this returns is to be called when that went well: it is as it was seen. */
  begin(): () => void;
  /** Whether nothing has happened to it since it was last seen. False too when it may have, and nobody heard. */
  isUnchanged(): Promise<boolean>;
  close(): void;
}
