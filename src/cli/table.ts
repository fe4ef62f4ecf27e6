import { cleanLine } from './terminal.js';

/** Between two columns, as docker and kubectl have it. */
const GAP = '   ';

/** What a column is cut to at least, however narrow the terminal is. */
const LEAST_WIDTH = 12;

/** How wide a table may be. */
export interface TableOptions {
  /** Columns of the terminal; undefined: as wide as it gets. */
  readonly width?: number | undefined;
  /** The columns that are cut when the terminal is narrower, those first that may go first. */
  readonly flexible?: readonly number[];
  /** The columns of which the end says more than the beginning. */
  readonly keepsEnd?: readonly number[];
}

/**
 * Rows under upper-case headers in columns of equal width, as `docker ps` prints them. Cells
 * are cleaned of control characters: they may hold foreign text. Widths count what a terminal shows.
 */
export async function formatTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  { width = Infinity, flexible = [], keepsEnd = [] }: TableOptions = {},
): Promise<string> {
  const lines = [headers.map((header) => header.toUpperCase()), ...rows.map((row) => row.map(cleanLine))];
  const widthOf = await measureFor(lines.flat());
  const widths = headers.map((_, column) => Math.max(...lines.map((line) => widthOf(line[column] ?? ''))));
  let excess = widths.reduce((sum, one) => sum + one + GAP.length, -GAP.length) - width;
  for (const column of flexible) {
    const whole = widths[column] ?? 0;
    const most = Math.min(whole, Math.max(LEAST_WIDTH, whole - Math.max(0, excess)));
    widths[column] = most;
    excess -= whole - most;
    for (const line of lines) {
      line[column] = cutTo(line[column] ?? '', most, widthOf, keepsEnd.includes(column));
    }
  }
  return lines.map((line) => formatLine(line, widths, widthOf)).join('\n');
}

/** As much of the text as fits, and a sign that there was more. */
function cutTo(text: string, most: number, widthOf: Measure, keepsEnd: boolean): string {
  if (widthOf(text) <= most) return text;
  const characters = keepsEnd ? [...text].reverse() : [...text];
  let cut = '';
  for (const character of characters) {
    const longer = keepsEnd ? character + cut : cut + character;
    if (widthOf(longer) > most - 1) break;
    cut = longer;
  }
  return keepsEnd ? `…${cut}` : `${cut}…`;
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
