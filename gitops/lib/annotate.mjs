import { createHash } from 'node:crypto';
import { clean, cut, escapeData, escapeProperty, logLine } from './text.mjs';

const SEVERITIES = { error: 'critical', warning: 'major', notice: 'info' };

/** A finding as a line of the log: a workflow command that GitHub shows at the line of the file, or words. */
export function formatFinding(finding, kind) {
  const { level, step, message } = finding;
  if (kind !== 'github') return logLine(`${level}: ${step}: ${place(finding)}${message}`);
  const properties = Object.entries({
    file: finding.file,
    line: finding.line,
    col: finding.column,
    title: `sjs ${step}${finding.code === undefined ? '' : `: ${finding.code}`}`,
  }).filter(([, value]) => value !== undefined);
  const listed = properties.map(([name, value]) => `${name}=${escapeProperty(clean(value))}`).join(',');
  return `::${level} ${listed}::${escapeData(clean(message))}`;
}

const place = ({ file, line, column }) =>
  file === undefined ? '' : `${[file, line, column].filter((part) => part !== undefined).join(':')}: `;

/** GitLab's Code Quality report: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format. */
export function codeQuality(findings) {
  return findings
    .filter(({ file }) => file !== undefined)
    .map(({ level, step, code, file, line = 1, message }) => ({
      description: clean(cut(message, 1000)),
      check_name: `sjs ${step}${code === undefined ? '' : ` ${code}`}`,
      // Without the line: what moves is not new.
      fingerprint: createHash('sha256')
        .update(JSON.stringify([step, code, file, message]))
        .digest('hex'),
      severity: SEVERITIES[level],
      location: { path: file, lines: { begin: line } },
    }));
}
