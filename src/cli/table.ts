import stringWidth from 'string-width';
import { cleanLine } from './terminal.js';

/** Between two columns, as docker and kubectl have it. */
const GAP = '   ';

/**
 * Rows under upper-case headers in columns of equal width, as `docker ps` prints them, with a newline at the end. Cells
 * are cleaned of control characters: they may hold foreign text. Widths count what a terminal shows.
 */
export function formatTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headers.map((header) => header.toUpperCase()), ...rows.map((row) => row.map(cleanLine))];
  const widths = headers.map((_, column) =>
    Math.max(...lines.map((line) => stringWidth(line[column] ?? ''))),
  );
  return lines.map((line) => `${formatLine(line, widths)}\n`).join('');
}

function formatLine(cells: readonly string[], widths: readonly number[]): string {
  return widths
    .map((width, column) => {
      const cell = cells[column] ?? '';
      return cell + ' '.repeat(Math.max(0, width - stringWidth(cell)));
    })
    .join(GAP)
    .trimEnd();
}
