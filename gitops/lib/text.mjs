// Foreign text: names of files and sandboxes, words of errors. Whoever wrote the repository wrote them.

/** Characters that steer a terminal, end a line or turn its direction. */
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** What CI systems act on wherever it stands in a line of their log: src/cli/workflow-commands.ts has the reasons. */
const COMMANDS = /##(?=\[|vso\[|teamcity\[)|s(?=ection_(?:start|end):)/gi;

/** One line of a log that no CI system and no terminal acts on. It must not be the beginning of the line: `::`. */
export function clean(text, most = 2000) {
  const line = cut(String(text).replace(CONTROLS, ' '), most);
  return line.replace(COMMANDS, (found) => `\\x${found.charCodeAt(0).toString(16)}${found.slice(1)}`);
}

/** A line of the log that is ours, whatever stands in it. */
export const logLine = (text) => `sjs-ci: ${clean(text)}`;

/** The message of a workflow command of GitHub (actions/toolkit, command.ts). */
export const escapeData = (text) =>
  cut(String(text), 4000).replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');

/** A property of one: `,` and `:` would begin the next. */
export const escapeProperty = (text) => escapeData(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

/** Foreign text in Markdown: a code span, in which nothing is a link, a mention, HTML or the end of a table's cell. */
export function code(text) {
  const line = cut(String(text).replace(CONTROLS, ' ').replace(/\|/g, '\u00a6').trim(), 300) || ' ';
  const fence = '`'.repeat(1 + Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length)));
  const space = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}

/** At most so many characters, and never half of one. */
export function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
