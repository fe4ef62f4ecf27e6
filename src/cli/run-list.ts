import { nearest, RUN_STATES, type RunRecord, SjsError } from '../index.js';
import { parseTime } from './parse-time.js';
import type { OptionSpec, VerbInput } from './verb.js';

/** A beginning of an id that is long enough to name it: the time to a millisecond and some of the chance. */
export const SHORT_ID = 16;

/** Options that choose runs. */
export const FILTER_OPTIONS = {
  state: { value: 'STATE', many: true, describe: `only runs in that state: ${RUN_STATES.join(', ')}` },
  name: { value: 'NAME', many: true, describe: 'only runs of the sandbox of that name' },
  tag: {
    value: 'TAG',
    many: true,
    describe: 'only runs of that sealed image: a tag, a seal, or a name for all of that name',
  },
  since: { value: 'TIME', describe: 'only runs since then: 10m, 2h, 7d, or 2026-01-31T12:00:00Z' },
  filter: {
    short: 'f',
    value: 'KEY=VALUE',
    many: true,
    hidden: true,
    describe: "docker's way to write these",
  },
} as const satisfies Record<string, OptionSpec>;

/** Whether a run is wanted, by the options; of one option given more than once any value counts. */
export function readFilters(input: VerbInput, nowMs: number): (record: RunRecord) => boolean {
  const given: Record<string, string[]> = { state: [], name: [], tag: [], since: [] };
  for (const key of Object.keys(given)) given[key]?.push(...input.values(key));
  for (const word of input.values('filter')) {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(word) ?? [];
    const list = given[key === 'status' ? 'state' : key === 'ancestor' ? 'tag' : key];
    if (!list || value === '') {
      throw new SjsError('USAGE', `--filter ${JSON.stringify(word)} is not understood`, {
        next: `write --filter KEY=VALUE with one of ${Object.keys(given).join(', ')}`,
      });
    }
    list.push(value);
  }
  for (const state of given['state'] ?? []) checkState(state);
  const since = (given['since'] ?? []).map((text) => parseTime('since', text, nowMs));
  const isIn = (key: string, test: (value: string) => boolean): boolean =>
    given[key]?.length === 0 || given[key]?.some(test) === true;
  return (record) =>
    isIn('state', (state) => record.state === state) &&
    isIn('name', (name) => nameOfTag(record.tag) === name) &&
    isIn('tag', (tag) => isOfImage(record, tag)) &&
    since.every((time) => Date.parse(record.createdAt) >= time);
}

function checkState(state: string): void {
  if ((RUN_STATES as readonly string[]).includes(state)) return;
  const meant = nearest(state, RUN_STATES);
  throw new SjsError('USAGE', `${JSON.stringify(state)} is no state of a run`, {
    next: meant === undefined ? `choose from ${RUN_STATES.join(', ')}` : `did you mean ${meant}?`,
  });
}

const isOfImage = ({ tag, seal }: RunRecord, wanted: string): boolean =>
  tag === wanted ||
  tag === `sjs/${wanted}` ||
  nameOfTag(tag) === wanted ||
  (/^(?:sha256:)?[0-9a-f]{7,64}$/.test(wanted) && seal.slice(7).startsWith(wanted.replace('sha256:', '')));

/** `job` of `sjs/job:1.0.0-3f9a0c1b2d4e`. */
export const nameOfTag = (tag: string): string => tag.slice('sjs/'.length).split(':')[0] ?? '';

/** How many; throws `USAGE` for what is no number above zero. */
export function parseCount(option: string, text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new SjsError('USAGE', `--${option} ${JSON.stringify(text)} is not a number above zero`);
}
