import { SjsError } from '../../errors.js';
import { escapeUnprintable, hasUnprintable } from '../../model/sandbox.js';

/** Bytes; BuildKit refuses lines of 64 KiB. */
const LONGEST_LINE = 60_000;

/**
 * A value as one double-quoted word of a Dockerfile, which the builder turns back into exactly the value: backslash,
 * quote and dollar are escaped, line breaks and other controls refused.
 * @throws SjsError `TEMPLATE_VALUE`.
 */
export function quoteWord(value: string): string {
  checkVisible(value);
  return checkLength(`"${value.replace(/[\\"$]/g, '\\$&')}"`);
}

/** A list of values in Dockerfile's JSON form, which the builder does not expand. */
export function quoteJson(values: readonly string[]): string {
  for (const value of values) checkVisible(value);
  return checkLength(JSON.stringify(values));
}

function checkVisible(value: string): void {
  if (!hasUnprintable(value)) return;
  throw new SjsError(
    'TEMPLATE_VALUE',
    `the value "${escapeUnprintable(value.slice(0, 80))}" has characters that cannot stand in a Dockerfile`,
    {
      next: 'remove line breaks and other control characters',
    },
  );
}

/** What counts is the line as it is written: escaped, in UTF-8, with all values of a list in it. */
function checkLength(quoted: string): string {
  const bytes = Buffer.byteLength(quoted);
  if (bytes <= LONGEST_LINE) return quoted;
  throw new SjsError(
    'TEMPLATE_VALUE',
    `a value or list of ${bytes} bytes cannot stand in a Dockerfile; ${LONGEST_LINE} can`,
    {
      next: 'pass long values on stdin or as a file of the source',
    },
  );
}
