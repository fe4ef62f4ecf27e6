import { nearest, SjsError } from '../index.js';
import { cleanLine } from './terminal.js';
import type { CliContext, OptionSpec, VerbInput } from './verb.js';

/** Options of every list. */
export const FORMAT_OPTION = {
  format: { value: 'FORMAT', describe: 'table, json, or fields: "{{.id}} {{.state}}"' },
} as const satisfies Record<string, OptionSpec>;

/**
 * Prints a list as it was asked for: as JSON, as lines of fields, or as the table that `table` makes of it.
 * @param fields the names of all fields, for who asks for another one
 */
export async function printList<T extends object>(
  items: readonly T[],
  fields: readonly (keyof T & string)[],
  input: VerbInput,
  { output }: Pick<CliContext, 'output'>,
  table: () => Promise<string>,
): Promise<void> {
  const format = input.value('format') ?? 'table';
  // A wrong one is said also of an empty list.
  const parts = ['json', 'table'].includes(format) ? null : parseFields(format, fields);
  if (output.json || format === 'json') return output.printJson(items);
  if (!parts) return output.print(await table());
  for (const item of items) {
    await output.print(
      parts.map((part) => ('text' in part ? part.text : show(item[part.field as keyof T]))).join(''),
    );
  }
}

type Part = { readonly text: string } | { readonly field: string };

/** Docker's habit without its language: `{{.field}}` is replaced, everything else stays. */
function parseFields(format: string, fields: readonly string[]): Part[] {
  const parts = format.replaceAll('\\t', '\t').split(/(\{\{.*?\}\})/s);
  const list = `there are ${fields.join(', ')}`;
  if (parts.length === 1) {
    throw new SjsError('USAGE', `--format ${JSON.stringify(format)} names no field`, {
      next: `write table, json or "{{.${fields[0] ?? 'id'}}}"; ${list}`,
    });
  }
  return parts.map((part) => {
    if (!part.startsWith('{{')) return { text: part };
    const name = /^\{\{\s*\.(\w+)\s*\}\}$/.exec(part)?.[1];
    const field = fields.find((one) => one.toLowerCase() === name?.toLowerCase());
    if (field !== undefined) return { field };
    const meant = name === undefined ? undefined : nearest(name, fields);
    throw new SjsError('USAGE', `--format: there is no field ${part}`, {
      next: meant === undefined ? list : `did you mean {{.${meant}}}? ${list}`,
    });
  });
}

function show(value: unknown): string {
  if (value === null || value === undefined) return '';
  return cleanLine(typeof value === 'string' ? value : JSON.stringify(value));
}
