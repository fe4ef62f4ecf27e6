import { describe, expect, test } from '@jest/globals';
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
