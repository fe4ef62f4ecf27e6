import { availableParallelism } from 'node:os';
import { expect, test } from '@jest/globals';
import { currentSandbox } from '../../../src/cli/current-sandbox.js';
import { doAll, type Task } from '../../../src/cli/each-sandbox.js';
import type { Output } from '../../../src/cli/output.js';
import { createReporter } from '../../../src/cli/reporter.js';
import { SjsError } from '../../../src/index.js';
import pc from 'picocolors';

function makeOutput(): { readonly output: Output; readonly said: string[] } {
  const said: string[] = [];
  const output = {
    json: false,
    verbose: false,
    err: pc.createColors(false),
    note: (text: string) => said.push(text),
    say: (text: string) => said.push(text),
    beginWait: () => said.push('WAIT'),
    endWait: () => undefined,
  } as unknown as Output;
  return { output, said };
}

const task = (name: string, act: () => Promise<string>, told: string[]): Task<string> => ({
  name,
  act,
  tell: (result) => Promise.resolve((told.push(result), { what: result })),
  tellError: () => Promise.resolve(),
});

test('as many at once as there are processors, told in order whichever ends first', async () => {
  const { output, said } = makeOutput();
  const told: string[] = [];
  let running = 0;
  let most = 0;
  const release: (() => void)[] = [];
  const count = availableParallelism() + 2;
  const tasks = Array.from({ length: count }, (_, at) =>
    task(
      `job-${at}`,
      async () => {
        running += 1;
        most = Math.max(most, running);
        createReporter(output).step('build', `over ${at}`);
        // The last that began ends first.
        if (running < availableParallelism()) await new Promise<void>((resolve) => release.push(resolve));
        running -= 1;
        release.pop()?.();
        return `did ${at}`;
      },
      told,
    ),
  );
  expect(await doAll('build', tasks, { output })).toBe(0);
  expect(most).toBe(availableParallelism());
  expect(told).toEqual(tasks.map((_, at) => `did ${at}`));
  expect(said.filter((line) => line.includes('over'))).toEqual(
    expect.arrayContaining(tasks.map(({ name }, at) => `${name}: build   over ${at}`)),
  );
  expect(said).not.toContain('WAIT');
  expect(said.at(-1)?.split('\n')).toHaveLength(count + 1);
  expect(currentSandbox()).toBeUndefined();
});

test('the first failure in order gives the exit status, and stops nothing', async () => {
  const { output, said } = makeOutput();
  const told: string[] = [];
  const fail = (code: 'BASE_UNVERIFIED' | 'POLICY_VIOLATION') => () =>
    new Promise<string>((_, reject) =>
      setTimeout(() => reject(new SjsError(code, `no\n${code}`)), code === 'BASE_UNVERIFIED' ? 20 : 0),
    );
  const tasks = [
    task('a', fail('BASE_UNVERIFIED'), told),
    task('b', fail('POLICY_VIOLATION'), told),
    task('c', () => Promise.resolve('built'), told),
  ];
  expect(await doAll('build', tasks, { output })).toBe(3);
  expect(told).toEqual(['built']);
  expect(said.at(-1)).toMatch(
    /^SANDBOX +WHAT\na +FAILED: BASE_UNVERIFIED\nb +FAILED: POLICY_VIOLATION\nc +built$/,
  );
});

test('what was interrupted is no failure of one of them', async () => {
  const { output } = makeOutput();
  const abort = new AbortController();
  const stopped = new SjsError('ABORTED', 'stopped');
  const act = (): Promise<string> => (abort.abort(), Promise.reject(stopped));
  await expect(doAll('build', [task('a', act, [])], { output }, abort.signal)).rejects.toBe(stopped);
});
