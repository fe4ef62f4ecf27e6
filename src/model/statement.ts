/** The version of in-toto's statements that sjs writes. */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

/** What a statement is about. */
export interface Subject {
  readonly name: string;
  /** Hex digits. */
  readonly digest: { readonly sha256: string };
}

/** An in-toto statement: what is said, in a form that its type names, about subjects that are known by digest. */
export interface Statement<Predicate = unknown> {
  readonly _type: typeof STATEMENT_TYPE;
  readonly subject: readonly Subject[];
  readonly predicateType: string;
  readonly predicate: Predicate;
}
