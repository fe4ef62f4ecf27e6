/** What an in-toto statement says of its subject: any JSON object. */
export type Predicate = Readonly<Record<string, unknown>>;
