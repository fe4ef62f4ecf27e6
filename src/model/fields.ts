/** What is found in a value that somebody else wrote as a mapping, of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a value was written as a mapping. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value that somebody else wrote as a mapping; one without any keys for what is none. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});

/** The mappings of a list, and one without any keys for what is none of them; nothing for what is no list. */
export const listOf = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? value.map(fieldsOf) : [];

/** A text; an empty one for what is none. */
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
