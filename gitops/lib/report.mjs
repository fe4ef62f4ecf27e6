import { code } from './text.mjs';

const MOST_FINDINGS = 50;

/** The report as a comment: what changes, what each step found, what was built. All foreign text stands in code spans. */
export function formatReport({ results, findings, builds, diff }, { below }) {
  const parts = [`## sjs${below === '' ? '' : `: ${code(below)}`}`];
  if (diff !== null) parts.push(diff.trim());
  parts.push(
    table(
      ['step', 'outcome'],
      results.map(({ step, outcome }) => [step, outcome]),
    ),
  );
  if (findings.length > 0) {
    const lines = findings.slice(0, MOST_FINDINGS).map(formatFinding);
    const more = findings.length - lines.length;
    parts.push([...lines, ...(more > 0 ? [`- … and ${more} more in the log of the job`] : [])].join('\n'));
  }
  if (builds.length > 0) {
    const rows = builds.map(({ file, tag, seal, published }) => [
      code(file),
      code(tag),
      code(seal),
      published === undefined ? 'not yet' : code(published),
    ]);
    parts.push(table(['sandbox', 'tag', 'seal', 'published'], rows));
  }
  return parts.join('\n\n');
}

function formatFinding({ level, step, code: name, file, line, message }) {
  const place = file === undefined ? '' : ` ${code(line === undefined ? file : `${file}:${line}`)}`;
  return `- **${level}** ${step}${name === undefined ? '' : ` ${code(name)}`}${place}: ${code(message)}`;
}

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
