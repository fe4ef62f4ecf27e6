import type { Sjs } from '../index.js';
import { formatTable } from './table.js';
import { cleanLine } from './terminal.js';

type PolicyExplanation = Awaited<ReturnType<Sjs['explainPolicy']>>;

/** The policy in force, value by value. */
export async function formatPolicy({ digest, layers, values }: PolicyExplanation): Promise<string> {
  return [
    ...layers.map(({ origin, file }) => `${origin.padEnd(10)}  ${cleanLine(file)}`),
    `${'digest'.padEnd(10)}  ${digest}`,
    '',
    await formatTable(
      ['key', 'value'],
      values.map(({ key, value }) => [key, show(value)]),
    ),
  ].join('\n');
}

/** Where each value in force comes from. */
export function formatOrigins({ values }: PolicyExplanation): Promise<string> {
  return formatTable(
    // What can be long stands last.
    ['key', 'from', 'value'],
    values.flatMap(({ key, value, from }) =>
      (from.length === 0 ? ['the default'] : from).map((place, index) =>
        index === 0 ? [key, place, show(value)] : ['', place, ''],
      ),
    ),
  );
}

const show = (value: string | readonly string[]): string =>
  typeof value === 'string' ? value : value.length === 0 ? 'none' : value.join(', ');

/** A waiver that has ended or ends soon, in one line. */
export const describeMentionedWaiver = ({
  sandbox,
  rule,
  until,
  state,
  from,
}: Awaited<ReturnType<Sjs['checkPolicy']>>['waivers'][number]): string =>
  state === 'expired'
    ? `the waiver of ${rule} for ${sandbox} ended on ${until} and counts no longer (${from})`
    : `the waiver of ${rule} for ${sandbox} ends on ${until} (${from})`;
