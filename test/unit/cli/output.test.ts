import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { createOutput, takesColor } from '../../../src/cli/output.js';
import { createReporter } from '../../../src/cli/reporter.js';
import { memoryStream } from './fake-context.js';

describe('colour', () => {
  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [false, { FORCE_COLOR: '0' }, false],
    [true, { TERM: 'dumb' }, false],
  ])('on a terminal: %s, with %j: %s', (isTTY, env, expected) => {
    expect(takesColor(memoryStream({ isTTY }), env)).toBe(expected);
  });
});

const outputs = (given: { json?: boolean; quiet?: boolean; verbose?: boolean }) => {
  const [stdout, stderr] = [memoryStream(), memoryStream()];
  const options = { json: false, quiet: false, verbose: false, ...given };
  return { stdout, stderr, output: createOutput({ ...options, env: {}, stdout, stderr }) };
};

test('with --json nothing but the document is on stdout', async () => {
  const { stdout, output } = outputs({ json: true });
  await output.print('for people');
  await output.printJson({ a: 1 });
  expect(JSON.parse(stdout.text())).toEqual({ a: 1 });
});

test('JSON has nothing in it that steers a terminal, and says the same', async () => {
  const { stdout, output } = outputs({ json: true });
  const document = { text: '\x1b[2J\x9b2J\x7f\u200b\u202e\u2028\u{e0041}é😀' };
  await output.printJson(document);
  await output.printJsonLine(document);
  expect(stdout.text()).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u);
  const [first = '', second = ''] = stdout.text().split('\n}\n');
  expect([`${first}}`, second].map((text) => JSON.parse(text) as unknown)).toEqual([document, document]);
});

test('the reporter says steps and warnings, cleaned, and with --quiet warnings alone', () => {
  const loud = outputs({});
  const reporter = createReporter(loud.output);
  reporter.step('verify', 'base\x1b[2J');
  reporter.warn('left out');
  reporter.debug('detail');
  expect(loud.stderr.text()).toBe('verify  base\\x1b[2J\nwarning left out\n');
  expect(loud.stdout.text()).toBe('');

  const quiet = outputs({ quiet: true });
  createReporter(quiet.output).step('verify', 'base');
  createReporter(quiet.output).warn('left out');
  expect(quiet.stderr.text()).toBe('warning left out\n');

  const verbose = outputs({ verbose: true });
  createReporter(verbose.output).debug('detail');
  expect(verbose.stderr.text()).toBe('detail\n');
});

describe('what is waited for', () => {
  afterEach(() => void jest.useRealTimers());
  const LINE = '\r\x1b[K';

  test('a terminal says how long, until something else is written', async () => {
    jest.useFakeTimers();
    const [stdout, stderr] = [memoryStream({ isTTY: true }), memoryStream({ isTTY: true })];
    const output = createOutput({
      ...{ json: false, quiet: false, verbose: false, env: { NO_COLOR: '1' } },
      ...{ stdout, stderr },
    });
    const reporter = createReporter(output);
    reporter.step('verify', 'base');
    jest.advanceTimersByTime(999);
    expect(stderr.text()).toBe('verify  base\n');
    jest.advanceTimersByTime(61_000);
    expect(stderr.text().split(LINE).slice(-2)).toEqual(['        1m0s so far', '        1m1s so far']);
    reporter.warn('slow');
    expect(stderr.text().split('1m1s so far')[1]).toBe(`${LINE}warning slow\n`);
    jest.advanceTimersByTime(1000);
    reporter.done();
    expect(stderr.text().split('warning slow\n')[1]).toBe(`${LINE}        1m2s so far${LINE}`);
    reporter.step('seal', 'it');
    await output.print('tag');
    jest.advanceTimersByTime(10_000);
    expect(stderr.text().split('1m2s so far')[1]).toBe(`${LINE}seal    it\n`);
  });

  test.each([
    ['not on a terminal', {}, {}, false],
    ['not in CI', { isTTY: true }, { CI: 'true', NO_COLOR: '1' }, false],
    ['not on a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, false],
    ['not with --quiet', { isTTY: true }, {}, true],
  ])('%s', (_name, stream, env, quiet) => {
    jest.useFakeTimers();
    const [stdout, stderr] = [memoryStream(stream), memoryStream(stream)];
    const output = createOutput({ json: false, quiet, verbose: false, env, stdout, stderr });
    createReporter(output).step('verify', 'base');
    jest.advanceTimersByTime(10_000);
    expect(stderr.text()).toBe(quiet ? '' : 'verify  base\n');
  });
});
