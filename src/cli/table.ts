import { cleanLine } from './terminal.js';

/** Between two columns, as docker and kubectl have it. */
const GAP = '   ';

/**
 * Rows under upper-case headers in columns of equal width, as `docker ps` prints them. Cells
 * are cleaned of control characters: they may hold foreign text. Widths count what a terminal shows.
 */
export async function formatTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<string> {
  const lines = [headers.map((header) => header.toUpperCase()), ...rows.map((row) => row.map(cleanLine))];
  const widthOf = await measureFor(lines.flat());
  const widths = headers.map((_, column) => Math.max(...lines.map((line) => widthOf(line[column] ?? ''))));
  return lines.map((line) => formatLine(line, widths, widthOf)).join('\n');
}

type Measure = (cell: string) => number;

/** The regular expressions of string-width take 50 ms to compile: only what is not plain ASCII needs them. */
async function measureFor(cells: readonly string[]): Promise<Measure> {
  if (cells.every((cell) => /^[\x20-\x7e]*$/.test(cell))) return (cell) => cell.length;
  return (await import('string-width')).default;
}

function formatLine(cells: readonly string[], widths: readonly number[], widthOf: Measure): string {
  return widths
    .map((width, column) => {
      const cell = cells[column] ?? '';
      return cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
    })
    .join(GAP)
    .trimEnd();
}
