import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';

/**
 * Puts already quoted values into the places of a template (`{{name}}`), once, without looking into the values, and
 * checks that the result has the template's instructions in the template's order and no others (ATTACKS T01-T03).
 * A place alone behind its instruction may hold several values: the instruction is then repeated for each.
 * @throws SjsError `TEMPLATE_INVALID` for an instruction outside the allow-list or a place nobody fills.
 */
export function fillTemplate(
  template: string,
  values: Readonly<Record<string, string | readonly string[]>>,
): string {
  const lines = template.split('\n').flatMap((line) => {
    const place = /^([A-Z]+ )\{\{([a-zA-Z]+)\}\}$/.exec(line);
    if (!place) {
      if (line.includes('{{'))
        throw new SjsError('TEMPLATE_INVALID', `a place must stand alone: ${cleanText(line)}`);
      return [line];
    }
    const value = values[place[2] ?? ''];
    if (value === undefined)
      throw new SjsError('TEMPLATE_INVALID', `nothing fills the place {{${place[2]}}}`);
    return (typeof value === 'string' ? [value] : value).map((one) => `${place[1]}${one}`);
  });
  for (const line of lines) checkLine(line);
  return lines.join('\n');
}

const ALLOWED = [
  'FROM',
  'COPY',
  'ENV',
  'LABEL',
  'USER',
  'WORKDIR',
  'STOPSIGNAL',
  'HEALTHCHECK',
  'ENTRYPOINT',
  'CMD',
];

function checkLine(line: string): void {
  if (line === '' || /^# (?!\w+\s*=)/.test(line)) return;
  const instruction = line.split(' ', 1)[0] ?? '';
  const problem =
    line.includes('\n') || line.includes('\r')
      ? 'has a line break'
      : line.endsWith('\\') || line.endsWith('`')
        ? 'would swallow the next line'
        : !ALLOWED.includes(instruction)
          ? `is not one of ${ALLOWED.join(', ')}`
          : instruction === 'HEALTHCHECK' && line !== 'HEALTHCHECK NONE'
            ? 'may only be NONE'
            : instruction === 'COPY' && !/^COPY --chown=0:0 (?:packages|layer)\/ \/$/.test(line)
              ? 'may only bring in the packed layers'
              : undefined;
  if (problem)
    throw new SjsError(
      'TEMPLATE_INVALID',
      `template instruction ${problem}: ${cleanText(line.slice(0, 80))}`,
    );
}
