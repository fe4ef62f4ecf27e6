import { describe, expect, test } from '@jest/globals';
import { killVerb } from '../../../src/cli/verbs/kill.js';
import { psVerb } from '../../../src/cli/verbs/ps.js';
import { rmVerb } from '../../../src/cli/verbs/rm.js';
import { runsVerb } from '../../../src/cli/verbs/runs.js';
import { statsVerb } from '../../../src/cli/verbs/stats.js';
import { stopVerb } from '../../../src/cli/verbs/stop.js';
import { waitVerb } from '../../../src/cli/verbs/wait.js';
import { parseTime } from '../../../src/cli/parse-time.js';
import { SjsError, type RunRecord, type Sjs, type UsageSample } from '../../../src/index.js';
import { makeOpenRecord, makeRecord } from '../../support/records.js';
import { memoryStream, runVerbWith } from './fake-context.js';

const id = (digit: string): string => `01K5ZQ8V${digit.repeat(18)}`;
const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const runs: readonly RunRecord[] = [
  makeOpenRecord({ id: id('3'), state: 'running', createdAt: minutesAgo(1), startedAt: minutesAgo(1) }),
  makeRecord({
    id: id('2'),
    state: 'failed',
    exitCode: 3,
    createdAt: minutesAgo(90),
    finishedAt: minutesAgo(89),
  }),
  makeRecord({ id: id('1'), tag: 'sjs/other:ba9876543210', createdAt: minutesAgo(3000) }),
];
const listRuns: Sjs['listRuns'] = ({ where, isOpen, limit } = {}) =>
  Promise.resolve(
    runs.filter((run) => (!isOpen || run.finishedAt === null) && (where?.(run) ?? true)).slice(0, limit),
  );
const ids = async (...words: string[]): Promise<string> =>
  (await runVerbWith('runs', runsVerb, ['-q', ...words], { listRuns })).stdout.replaceAll(
    /01K5ZQ8V(.).*\n/g,
    '$1',
  );

test('ps shows the ports of what runs, when there are any', async () => {
  const ports = [{ hostAddress: '127.0.0.1', hostPort: 3000, containerPort: 3005 }];
  const network = {
    mode: 'isolated',
    gateway: null,
    ports,
    connections: [],
    omittedConnections: null,
  } as const;
  const server = makeOpenRecord({ id: id('4'), state: 'running', network });
  const show = async (...found: RunRecord[]): Promise<string> =>
    (await runVerbWith('ps', psVerb, [], { listRuns: () => Promise.resolve(found) })).stdout;
  expect(await show(server, ...runs)).toMatch(/ PORTS\n.*127\.0\.0\.1:3000->3005\n/);
  expect(await show(...runs, { ...server, finishedAt: minutesAgo(1) })).not.toMatch(/PORTS|3000/);
});

describe('runs are chosen', () => {
  test.each([
    [[], '321'],
    [['--state', 'failed'], '2'],
    [['--state', 'failed', '--state', 'running'], '32'],
    [['--name', 'other'], '1'],
    [['--name', 'oth'], ''],
    [['--tag', 'sjs/other:ba9876543210'], '1'],
    [['--tag', 'other:ba9876543210'], '1'],
    [['--tag', makeRecord().seal.slice(7, 20)], '321'],
    [['--since', '10m'], '3'],
    [['--since', '2h'], '32'],
    [['--since', '7d'], '321'],
    [['-f', 'status=failed', '--filter', 'name=job'], '2'],
    [['--since', '2h', '-n', '1'], '3'],
  ])('by %j', async (words, expected) => {
    expect(await ids(...words)).toBe(expected);
  });

  test.each([
    [['--state', 'faild'], 'did you mean failed?'],
    [['--state', 'x'], 'choose from created'],
    [['--filter', 'nmae=x'], 'write --filter KEY=VALUE'],
    [['--filter', 'name'], 'write --filter KEY=VALUE'],
    [['--since', 'yesterday'], 'write how long ago'],
  ])('and not by %j', async (words, next) => {
    await expect(ids(...words)).rejects.toMatchObject({ code: 'USAGE', next: expect.stringContaining(next) });
  });
});

test('a time is how long ago, or a date', () => {
  const now = Date.parse('2026-01-10T00:00:00Z');
  expect(parseTime('since', '1h30m', now)).toBe(now - 5_400_000);
  expect(parseTime('since', '2d', now)).toBe(now - 2 * 24 * 3_600_000);
  expect(parseTime('since', '2026-01-02T03:04:05.5Z', now)).toBe(Date.parse('2026-01-02T03:04:05.5Z'));
  expect(parseTime('since', '2026-01-02', now)).toBe(Date.parse('2026-01-02'));
  expect(parseTime('since', '2026-01-02T03:04:05+01:00', now)).toBe(Date.parse('2026-01-02T02:04:05Z'));
  expect(parseTime('since', '1767323045.5', now)).toBe(1_767_323_045_500);
});

test.each(['', 'x', '5', '-5m', '2026-13-01', '2026-02-30', '2026-01-01T25:00:00Z', '2026-1-1', '99999999d'])(
  'a time is not %j',
  (text) => {
    expect(() => parseTime('since', text, 0)).toThrow(
      expect.objectContaining({ code: 'USAGE', next: expect.stringContaining('10m') }),
    );
  },
);

describe('--format', () => {
  const format = async (text: string): Promise<string> =>
    (await runVerbWith('runs', runsVerb, ['--format', text], { listRuns })).stdout;

  test('replaces fields and nothing else', async () => {
    expect(await format('{{.State}}\\t{{ .exitCode }};')).toBe('running\t;\nfailed\t3;\nsucceeded\t0;\n');
    expect(await format('{{.args}}')).toContain('["one"]\n');
    expect(JSON.parse(await format('json'))).toEqual(runs);
    expect(await format('table')).toMatch(/^RUN ID /);
  });

  test('names the fields there are', async () => {
    await expect(format('{{.stat}}')).rejects.toMatchObject({
      code: 'USAGE',
      next: expect.stringMatching(/did you mean \{\{\.state\}\}\?.*finishedAt/),
    });
    for (const wrong of ['state', '{{state}}', '{{range .}}'])
      await expect(format(wrong)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('ps', () => {
  test('has what runs, -a the rest', async () => {
    const { stdout } = await runVerbWith('ps', psVerb, [], { listRuns });
    expect(stdout.split('\n').slice(1)).toEqual([
      '01K5ZQ8V33333333   sjs/job:1.0.0-0123456789ab   one         1 minute ago   up 1 minute',
      '',
    ]);
    const all = (await runVerbWith('ps', psVerb, ['-a', '--no-trunc'], { listRuns })).stdout;
    expect(all).toContain(id('2'));
    expect(all).toContain('failed (3) 1 hour ago');
  });

  test('fits the terminal', async () => {
    const stdout = Object.assign(memoryStream({ isTTY: true }), { columns: 72 });
    await runVerbWith('ps', psVerb, [], { listRuns }, { stdout });
    expect(stdout.text()).toContain('sjs/job:1.0…');
    expect(
      Math.max(
        ...stdout
          .text()
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(72);
  });
});

describe('stop, kill and wait', () => {
  test('hand over what was asked, print an id each, and go on after a failure', async () => {
    const asked: unknown[] = [];
    const stopRun: Sjs['stopRun'] = (target, options) => {
      asked.push([target, options]);
      return target === 'x'
        ? Promise.reject(new SjsError('RUN_NOT_FOUND', 'there is no run x'))
        : Promise.resolve(makeRecord({ id: id('1') }));
    };
    const { status, stdout, stderr } = await runVerbWith('stop', stopVerb, ['-t', '3', 'x', 'y'], {
      stopRun,
      listRuns,
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: `${id('1')}\n` });
    expect(stderr).toContain('there is no run x');
    expect(asked).toEqual([
      ['x', { graceMs: 3000 }],
      ['y', { graceMs: 3000 }],
    ]);
    await expect(runVerbWith('stop', stopVerb, ['-t', 'soon', 'y'], { stopRun })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test.each([
    [[], 'SIGKILL'],
    [['-s', 'usr1'], 'SIGUSR1'],
    [['--signal=SIGTERM'], 'SIGTERM'],
    [['-s', '2'], 'SIGINT'],
  ])('kill %j sends %s', async (words, expected) => {
    let sent: string | undefined;
    const killRun: Sjs['killRun'] = (_id, signal) => {
      sent = signal;
      return Promise.resolve(makeRecord());
    };
    await runVerbWith('kill', killVerb, [...words, id('1')], { killRun });
    expect(sent).toBe(expected);
    await expect(runVerbWith('kill', killVerb, ['-s', 'STOP', 'x'], { killRun })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test('wait prints what run would have exited with', async () => {
    const waitRun: Sjs['waitRun'] = (target) =>
      Promise.resolve(makeRecord(target === 'a' ? { state: 'timed-out' } : { state: 'failed', exitCode: 7 }));
    expect(await runVerbWith('wait', waitVerb, ['a', 'b'], { waitRun })).toMatchObject({
      status: 0,
      stdout: '124\n7\n',
    });
  });

  test('rm -f kills what goes on, and that it ended meanwhile is no failure', async () => {
    const killed: string[] = [];
    const open = makeOpenRecord({ id: id('3') });
    const sjs: Partial<Sjs> = {
      findRun: () => Promise.resolve(open),
      killRun: (target) => {
        killed.push(target);
        return Promise.reject(new SjsError('RUN_ENDED', 'over'));
      },
      removeRun: () => Promise.resolve(open),
    };
    expect((await runVerbWith('rm', rmVerb, ['-f', id('3')], sjs)).stdout).toBe(`${id('3')}\n`);
    expect(killed).toEqual([id('3')]);
  });
});

describe('stats', () => {
  const sample: UsageSample = {
    cpuPercent: 12.345,
    cpuMs: 10,
    memoryBytes: 3 * 1024 ** 2,
    memoryLimitBytes: 64 * 1024 ** 2,
    pids: 7,
  };
  const sjs: Partial<Sjs> = {
    listRuns,
    async *watchUsage() {
      yield await Promise.resolve({ ...sample, cpuPercent: null });
      yield sample;
    },
  };

  test('are a line a run, of a sample that has all', async () => {
    const { stdout } = await runVerbWith('stats', statsVerb, ['--no-stream'], sjs);
    expect(stdout.split('\n')[1]).toBe(
      '01K5ZQ8V33333333   sjs/job:1.0.0-0123456789ab   12.3 %   3.0 MiB   64.0 MiB   7',
    );
  });

  test('are drawn over each other on a terminal, and follow each other elsewhere', async () => {
    const stdout = memoryStream({ isTTY: true });
    await runVerbWith('stats', statsVerb, [], sjs, { stdout });
    expect(stdout.text()).toContain('\u001b[2A\u001b[J');
    expect((await runVerbWith('stats', statsVerb, [], sjs)).stdout.match(/RUN ID/g)).toHaveLength(1);
  });

  test('are lines of JSON', async () => {
    const { stdout } = await runVerbWith('stats', statsVerb, ['--json'], sjs);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ id: id('3'), cpuPercent: 12.345 });
  });
});
