import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { sandboxName } from '../../src/adapters/docker/owner-labels.js';
import type { SjsError } from '../../src/errors.js';
import { makeRunId, makeSignals, openEngine, type EngineWorld } from '../support/engine-run.js';

let world: EngineWorld;
beforeAll(async () => {
  world = await openEngine();
});
afterAll(async () => {
  await world.close();
});

const MIB = 1024 ** 2;
const code = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as SjsError).code,
  );

test('probe: what this engine is, and that it can enforce every control', async () => {
  const facts = await world.engine.probe();
  expect(facts.name).toBe('Docker Engine');
  expect(facts.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(facts.runtimeVersion).toMatch(/^\d+\.\d+/);
  expect(facts.missingControls).toEqual([]);
});

describe('ends', () => {
  test.each([0, 3])('the exit code %d is the program’s own', async (exitCode) => {
    const { outcome } = await world.run({ code: `process.exit(${exitCode})` });
    expect(outcome).toMatchObject({ end: 'exited', exitCode, oomKilled: false });
    expect(Date.parse(outcome.finishedAt)).toBeGreaterThan(Date.parse(outcome.startedAt!));
  });

  test('a SIGKILL from outside is `killed`, by the engine’s event log', async () => {
    const runId = makeRunId();
    const { outcome } = await world.run(
      { code: 'console.log("up"); setInterval(() => {}, 1000)' },
      {
        runId,
        onStdout: () => world.client.docker.getContainer(sandboxName(runId)).kill({ signal: 'SIGKILL' }),
      },
    );
    expect(outcome).toMatchObject({ end: 'killed', exitCode: 137 });
  });

  test('a container that somebody removes is lost, or killed when the engine still knows of it', async () => {
    const runId = makeRunId();
    const running = world.run(
      { code: 'console.log("up"); setInterval(() => {}, 1000)' },
      {
        runId,
        onStdout: () => world.client.docker.getContainer(sandboxName(runId)).remove({ force: true }),
      },
    );
    const seen = await running.then(
      ({ outcome }) => outcome.end,
      (error: unknown) => (error as SjsError).code,
    );
    expect(['CONTAINER_LOST', 'killed']).toContain(seen);
  });

  test('an image that is not there is SEAL_IMAGE_MISSING', async () => {
    expect(await code(world.run({ imageId: `sha256:${'1'.repeat(64)}` }))).toBe('SEAL_IMAGE_MISSING');
  });

  test('usage is told for runs of some length', async () => {
    const { outcome } = await world.run({ code: 'setTimeout(() => {}, 2600)' });
    expect(outcome.usage?.cpuMs).toBeGreaterThan(0);
    expect(outcome.usage?.peakMemoryBytes).toBeGreaterThan(MIB);
  });
});

describe('output', () => {
  test('output of exactly the limit is not cut', async () => {
    const { outcome, stdout } = await world.run({
      code: 'process.stdout.write("x".repeat(70000))',
      resources: { outputBytes: 70_000 },
    });
    expect(outcome).toMatchObject({ end: 'exited', exitCode: 0, truncated: { stdout: false } });
    expect(stdout).toHaveLength(70_000);
  });

  test('what was written before the deadline is kept', async () => {
    const { outcome, stdout } = await world.run({
      code: 'require("fs").writeSync(1, "before"); for(;;);',
      resources: { timeoutMs: 1000 },
    });
    expect(outcome.end).toBe('timed-out');
    expect(stdout.toString()).toBe('before');
  });

  test('a slow receiver holds the program back, and gets everything', async () => {
    let most = 0;
    let pending = 0;
    const { outcome, stdout } = await world.run(
      { code: 'process.stdout.write("x".repeat(8 << 20))', resources: { outputBytes: 16 * MIB } },
      {
        onStdout: async () => {
          most = Math.max(most, (pending += 1));
          await new Promise((resolve) => setImmediate(resolve));
          pending -= 1;
        },
      },
    );
    expect(outcome.end).toBe('exited');
    expect(stdout).toHaveLength(8 * MIB);
    expect(most).toBe(1);
  });

  test('a receiver that throws ends the run with its error', async () => {
    const closed = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
    const running = world.run(
      { code: 'setInterval(() => console.log("x"), 10)' },
      {
        onStdout: () => {
          throw closed;
        },
      },
    );
    await expect(running).rejects.toBe(closed);
  });
});

describe('input', () => {
  test('binary input comes through and ends', async () => {
    const input = randomBytes(3 * MIB);
    const { stdout, outcome } = await world.run(
      { code: 'process.stdin.pipe(process.stdout)', resources: { outputBytes: 4 * MIB } },
      { stdin: input },
    );
    expect(outcome.exitCode).toBe(0);
    expect(stdout.equals(input)).toBe(true);
  });

  test('without input the program sees the end at once (O12)', async () => {
    const { stdout } = await world.run({ code: 'console.log(require("fs").readFileSync(0).length)' });
    expect(stdout.toString()).toBe('0\n');
  });

  test.each([
    ['endless', new Readable({ read() {} })],
    ['large', Readable.from(Array<Buffer>(200).fill(Buffer.alloc(65536)))],
  ])('a program that does not read %s input ends all the same', async (_name, stdin) => {
    const { outcome } = await world.run({ code: 'setTimeout(() => process.exit(4), 200)' }, { stdin });
    expect(outcome).toMatchObject({ end: 'exited', exitCode: 4 });
    expect(stdin.destroyed).toBe(true);
  });

  test('an input that fails ends the run', async () => {
    const stdin = new Readable({
      read() {
        this.destroy(new Error('disk'));
      },
    });
    await expect(world.run({ code: 'setInterval(() => {}, 1000)' }, { stdin })).rejects.toThrow('disk');
  });
});

describe('signals', () => {
  const listen = (body: string): string =>
    `process.on('SIGINT', () => { ${body} }); process.on('SIGUSR2', () => console.log('usr2'));
     console.log('up'); setInterval(() => {}, 1000)`;

  test('an interrupt reaches the program, which may end by itself', async () => {
    const signals = makeSignals();
    const { outcome, stdout } = await world.run(
      { code: listen('console.log("bye"); process.exit(5)') },
      {
        signals,
        onStdout: (chunk) => void (/up/.test(String(Buffer.from(chunk))) && signals.send('SIGINT')),
      },
    );
    expect(outcome).toMatchObject({ end: 'interrupted', exitCode: 5 });
    expect(stdout.toString()).toBe('up\nbye\n');
  });

  test('one that ignores it is killed after two seconds', async () => {
    const signals = makeSignals();
    const { outcome } = await world.run(
      { code: listen('') },
      { signals, onStdout: () => signals.send('SIGINT') },
    );
    expect(outcome).toMatchObject({ end: 'interrupted', exitCode: 137 });
    expect(outcome.durationMs).toBeGreaterThanOrEqual(2000);
    expect(outcome.durationMs).toBeLessThan(3500);
  });

  test('the second interrupt kills at once', async () => {
    const signals = makeSignals();
    const { outcome } = await world.run(
      { code: listen('') },
      {
        signals,
        onStdout: () => {
          signals.send('SIGTERM');
          signals.send('SIGINT');
        },
      },
    );
    expect(outcome.end).toBe('interrupted');
    expect(outcome.durationMs).toBeLessThan(1500);
  });

  test('other signals are passed on', async () => {
    const signals = makeSignals();
    const { outcome, stdout } = await world.run(
      { code: listen('process.exit(0)') },
      {
        signals,
        onStdout: (chunk) => signals.send(/usr2/.test(String(Buffer.from(chunk))) ? 'SIGINT' : 'SIGUSR2'),
      },
    );
    expect(stdout.toString()).toBe('up\nusr2\n');
    expect(outcome).toMatchObject({ end: 'interrupted', exitCode: 0 });
  });

  test('a signal before the start is passed on after it', async () => {
    const signals = makeSignals();
    const running = world.run({ code: 'setInterval(() => {}, 1000)' }, { signals });
    signals.send('SIGTERM');
    expect((await running).outcome.end).toBe('interrupted');
  });

  test('an abort kills and keeps what was written; before the start nothing runs', async () => {
    const controller = new AbortController();
    const started = (() => {
      let begin = (): void => undefined;
      const promise = new Promise<void>((resolve) => (begin = resolve));
      return { promise, begin };
    })();
    const { outcome, stdout } = await world.run(
      { code: 'console.log("up"); setInterval(() => {}, 1000)' },
      {
        signals: makeSignals(controller.signal),
        // It may write before the engine has answered that it was started.
        onStdout: () => void started.promise.then(() => controller.abort()),
        onStarted: () => started.begin(),
      },
    );
    expect(outcome.end).toBe('interrupted');
    expect(stdout.toString()).toBe('up\n');
    expect(await code(world.run({}, { signals: makeSignals(controller.signal) }))).toBe('ABORTED');
  });
});

test('eight runs at once keep apart, and nothing is left', async () => {
  const runs = Array.from({ length: 8 }, (_, index) => world.run({ code: `console.log(${index})` }));
  const results = await Promise.all(runs);
  expect(results.map(({ stdout }) => stdout.toString().trim())).toEqual(
    runs.map((_, index) => String(index)),
  );
});

test('nothing is left of all this', async () => {
  expect(await world.engine.listRuns(world.owner.home)).toEqual([]);
});
