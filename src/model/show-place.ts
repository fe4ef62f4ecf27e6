import type { SourceLocation } from '../errors.js';

/** `file:line`, or the file alone. */
export const showPlace = ({ file, line }: SourceLocation): string =>
  line === undefined ? file : `${file}:${line}`;
