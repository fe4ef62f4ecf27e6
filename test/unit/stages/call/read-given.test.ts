import { describe, expect, test } from '@jest/globals';
import { readerOf } from '../../../../src/stages/call/read-given.js';
import { nonceOf } from '../../../../src/stages/call/write-request.js';

const ID = '01M80000000000000000000000';
const piece = (type: string, payload = ''): string =>
  `\0sjs${nonceOf(ID)}${type}${payload.length.toString(16).padStart(4, '0')}${payload}`;
const MARK = piece('o');

type Write = readonly ['stdout' | 'stderr', string];

/** What passes, and what at the end, as text: `o` of stdout, `e` of stderr. */
function read(writes: readonly Write[]) {
  const reader = readerOf(ID, { code: 1 });
  if (!reader) throw new Error('no reader');
  const show = (pieces: ReturnType<typeof reader.end>): string =>
    pieces.map(({ stream, data }) => `${stream === 'stdout' ? 'o' : 'e'}:${Buffer.from(data).toString()}`).join(' ');
  const passed = writes.map(([stream, text]) => show(reader.read(stream, Buffer.from(text))));
  return { passed, end: show(reader.end()), answer: reader.answer && { ...reader.answer, json: String(reader.answer.json) } };
} // prettier-ignore

describe('the output of code that came with its run', () => {
  test('comes in the order in which it was written, whichever pipe is read first', () => {
    const stdout: Write = ['stdout', `a${MARK}${MARK}c`];
    const stderr: Write = ['stderr', `${MARK}b${MARK}`];
    expect(read([stdout, stderr])).toMatchObject({ passed: ['o:a', 'e:b o:c'], end: '' });
    expect(read([stderr, stdout])).toMatchObject({ passed: ['', 'o:a e:b o:c'], end: '' });
  });

  test('is not held where there are no marks', () => {
    expect(read([['stderr', 'x'], ['stdout', 'y']])).toMatchObject({ passed: ['e:x', 'o:y'], end: '' }); // prettier-ignore
  });

  test('is what it gave back apart, and what is written after it', () => {
    const given = read([['stdout', `a${piece('p', '{"n"')}${piece('v', ':1}')}late`]]);
    expect(given).toEqual({ passed: ['o:alate'], end: '', answer: { kind: 'value', json: '{"n":1}' } });
  });

  test('has the first thing that is given back, and no second', () => {
    expect(read([['stdout', piece('v', '1') + piece('v', '2') + piece('x', '3')]]).answer).toEqual({
      kind: 'value',
      json: '1',
    });
  });

  test('comes at the end where the program made a mark of its own in one stream', () => {
    expect(read([['stdout', `${MARK}a`], ['stdout', 'b'], ['stderr', 'c']])).toMatchObject({ passed: ['', '', 'e:c'], end: 'o:ab' }); // prettier-ignore
  });

  test('may be cut anywhere', () => {
    const all = { stdout: `a${MARK}${MARK}c${piece('v', '7')}`, stderr: `${MARK}b${MARK}` };
    for (let cut = 0; cut <= all.stdout.length; cut += 1) {
      const found = read([
        ['stdout', all.stdout.slice(0, cut)],
        ['stderr', all.stderr],
        ['stdout', all.stdout.slice(cut)],
      ]);
      expect([...found.passed, found.end].filter((text) => text !== '').join(' ')).toBe('o:a e:b o:c');
      expect(found.answer).toEqual({ kind: 'value', json: '7' });
    }
  });

  test('is held once, however small the pieces are', () => {
    const reader = readerOf(ID, { code: 1 });
    reader?.read('stdout', Buffer.from(MARK));
    for (let at = 0; at < 100_000; at += 1) reader?.read('stdout', Buffer.from('x'));
    expect(reader?.end().map(({ data }) => data.length)).toEqual([100_000]);
  });
});

test('marks are counted apart, and output is not', () => {
  const reader = readerOf(ID, { code: 1 });
  reader?.read('stdout', Buffer.from(`a${MARK}b`));
  reader?.read('stderr', Buffer.from(`${MARK}c`));
  expect(reader?.markBytes?.()).toBe(2 * MARK.length);
});
