import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import type { Container, ContainerCreateOptions } from 'dockerode';
import { createDockerClient } from '../../src/adapters/docker/client.js';
import { sandboxOptions } from '../../src/adapters/docker/container-options.js';
import { currentOwner } from '../../src/adapters/process/owner.js';
import type { RunRecord } from '../../src/model/record.js';
import type { Resources } from '../../src/model/sandbox.js';
import type { SealedImage } from '../../src/model/sealed-image.js';
import { planRun } from '../../src/stages/plan/plan-run.js';
import { CASES, type Case, type CaseId } from '../attack/catalogue.js';
import { makeRunId } from './engine-run.js';
import { makeFolder, runSjs, sandboxYaml, type ProcessResult } from './world.js';

const execute = promisify(execFile);
const CACHE = join(import.meta.dirname, '../../.cache');

/** What `make attack` prints of a case. */
export interface Row extends Case {
  readonly id: string;
  /** What came of the act, in words. */
  readonly happened: string;
  /** What came of the same act without the control. */
  readonly without: string;
  /** Whether the control held, and the act succeeded without it; null when this machine cannot show it. */
  readonly held: boolean | null;
}

/** Thrown where a machine lacks what a case needs. The row says so; nothing is claimed. */
export class CannotBeTried extends Error {}

/**
 * One case of the catalogue as a test, and a row of the table in `.cache/attack/`.
 * @param attempt does the forbidden act against the real thing, asserts that it failed, and says what happened
 * @param withoutControl does the same act with the control removed, asserts that it succeeds, and says what happened
 */
export function attack(
  id: CaseId,
  attempt: () => string | Promise<string>,
  withoutControl: () => string | Promise<string>,
  timeoutMs = 90_000,
): void {
  test(
    `${id}: ${CASES[id].tried}`,
    async () => {
      let happened = 'the attempt did not go as it must';
      let without = 'not tried';
      let attempted = false;
      let held: boolean | null = false;
      try {
        happened = await attempt();
        attempted = true;
        without = 'the act did not succeed: this case shows nothing';
        without = await withoutControl();
        held = true;
      } catch (error) {
        if (!(error instanceof CannotBeTried)) throw error;
        without = `cannot be tried on this machine: ${error.message}`;
        if (!attempted) happened = without;
        held = null;
      } finally {
        const row: Row = { id, ...CASES[id], happened, without, held };
        await mkdir(join(CACHE, 'attack'), { recursive: true });
        await writeFile(join(CACHE, 'attack', `${id}.json`), JSON.stringify(row));
      }
    },
    // A container starts in a quarter of a second on an idle machine, and in several on a busy one.
    timeoutMs,
  );
}

/** What a container printed and how it ended. */
export interface Ended {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a container has printed until now. */
const logsOf = (container: Container): Promise<{ stdout: string; stderr: string }> =>
  execute('docker', ['logs', container.id], { maxBuffer: 64 * 1024 ** 2 });

/** What a container has printed, as soon as it is what was waited for. */
export async function untilPrinted(container: Container, words: RegExp): Promise<string> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { stdout } = await logsOf(container);
    if (words.test(stdout)) return stdout;
    if (Date.now() > deadline) throw new Error(`it did not print ${words.source}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Changes one setting of a sandbox. */
export type Change = (options: SandboxOptions) => unknown;
/** The create options of a sandbox as they are sent to the engine. */
export type SandboxOptions = Omit<ContainerCreateOptions, 'HostConfig'> & {
  HostConfig: Omit<NonNullable<ContainerCreateOptions['HostConfig']>, 'SecurityOpt'> & {
    SecurityOpt: string[];
  };
};

/** Changes that several cases make. */
export const WITHOUT = {
  seccomp: ({ HostConfig }) => {
    HostConfig.SecurityOpt = ['no-new-privileges=true', 'seccomp=unconfined'];
  },
  noNewPrivileges: ({ HostConfig }: SandboxOptions) => {
    HostConfig.SecurityOpt = HostConfig.SecurityOpt.filter((option) => option.startsWith('seccomp='));
  },
  user: (options) => {
    options.User = '0:0';
  },
  readOnlyRoot: ({ HostConfig }) => {
    HostConfig.ReadonlyRootfs = false;
  },
  isolation: ({ HostConfig }) => {
    HostConfig.NetworkMode = 'bridge';
  },
  nothing: () => {},
} satisfies Readonly<Record<string, Change>>;

/** One change after the other, for what two controls stop, each alone. */
export const both =
  (...changes: readonly Change[]): Change =>
  (options) =>
    changes.forEach((change) => change(options));

/** A sealed sandbox whose program is the code that it is given. */
export interface AttackSandbox {
  readonly home: string;
  readonly tag: string;
  readonly imageId: string;
  /** The probe program on this machine, outside of any container. */
  readonly probeFile: string;
  /** `sjs run` with flags; the program is this code. */
  run(code: string, ...flags: readonly string[]): Promise<ProcessResult>;
  /** {@link run} and the record with its output. */
  record(code: string, ...flags: readonly string[]): Promise<RunRecord & { output: RunOutput }>;
  /** What an expression comes to inside the sealed sandbox; {@link PRELUDE} is in scope. */
  ask<T>(expression: string, ...flags: readonly string[]): Promise<T>;
  /** Runs the code in a container of the same image and options, with one setting changed. */
  runWithout(change: Change, code: string, limits?: Partial<Resources>): Promise<Ended>;
  /** Starts such a container, and removes it when `act` is through. With no code, the program waits to be ended. */
  beside<T>(change: Change, code: string | null, act: (container: Container) => Promise<T>): Promise<T>;
  /** An image on top of this one, in which root ran the code and nothing else was changed. */
  derive(code: string, ...instructions: readonly string[]): Promise<string>;
  /** {@link ask}, in a container with one setting changed. */
  askWithout<T>(change: Change, expression: string, limits?: Partial<Resources>): Promise<T>;
}

interface RunOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Becomes a Node without the permission model, which is a layer and no boundary, and runs the code it is given. */
const PROGRAM = `process.removeAllListeners('warning');
process.execve(process.execPath, ['node', '-e', process.argv[2]], process.env);
`;

/** In scope of every expression that is asked, and to be put before other code. `tries` answers what a function returns or its error's code. */
export const PRELUDE = `
const fs = require('fs'), os = require('os'), path = require('path'), net = require('net'), cp = require('child_process');
const tries = (act) => { try { return act() ?? 'ok' } catch (error) { return error.code ?? String(error) } };
const read = (file) => fs.readFileSync(file, 'utf8');
const probe = (...args) => cp.execFileSync('/app/probe', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
`;
const printing = (expression: string): string =>
  `${PRELUDE}(async () => (${expression}))().then((value) => fs.writeSync(1, JSON.stringify(value ?? null)))`;

/** Builds the program of test/fixtures/probe.c. */
export async function buildProbe(file: string): Promise<void> {
  const source = join(import.meta.dirname, '../fixtures/probe.c');
  await execute('gcc', ['-static', '-O1', '-o', file, source], { timeout: 60_000 });
}

/**
 * Builds and seals the sandbox of a test file; call it once, in `beforeAll` or later. Removes its image at the end.
 * @param spec more lines under `spec`
 * @param files more files of the source, name to text
 * @param binaries more files of the source, name to file
 */
export async function sealSandbox(
  spec = '',
  files: Record<string, string> = {},
  binaries: Record<string, string> = {},
): Promise<AttackSandbox> {
  const home = await makeFolder();
  // A name of its own: the same sandbox in another test file would be the same image, which is removed with that file.
  const name = `attack-${randomBytes(6).toString('hex')}`;
  const yaml = sandboxYaml(name, `  permissions: { childProcess: true, worker: true }\n${spec}`);
  const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.js': PROGRAM, ...files });
  await buildProbe(join(folder, 'probe'));
  for (const [path, file] of Object.entries(binaries)) await copyFile(file, join(folder, path));
  // As an author would who hopes for root.
  await chmod(join(folder, 'probe'), 0o4755);
  const built = await runSjs(home, ['build', folder, '--json']);
  expect({ code: built.code, error: built.code === 0 ? '' : built.stdout + built.stderr }).toEqual({
    code: 0,
    error: '',
  });
  const { tag, imageId } = JSON.parse(built.stdout) as { tag: string; imageId: string };
  cleanUps.push(async () => void (await execute('docker', ['image', 'rm', '-f', tag])));
  const [client, owner, seccompProfile, inspected] = await Promise.all([
    createDockerClient({ env: process.env, home: homedir() }),
    currentOwner(join(home, 'sjs')),
    readFile(join(import.meta.dirname, '../../policies/seccomp.json'), 'utf8'),
    runSjs(home, ['inspect', tag]),
  ]);
  const { image, labels } = JSON.parse(inspected.stdout) as SealedImage;
  const sealed = { labels, image, entry: { tag } } as unknown as SealedImage;

  const run = (code: string, ...flags: readonly string[]): Promise<ProcessResult> =>
    runSjs(home, ['run', ...flags, tag, '--', code]);
  const record: AttackSandbox['record'] = async (code, ...flags) => {
    const { stdout } = await run(code, '--json', ...flags);
    return JSON.parse(stdout) as RunRecord & { output: RunOutput };
  };
  const started = async <T>(
    change: Change,
    code: string,
    limits: Partial<Resources>,
    act: (container: Container) => Promise<T>,
  ): Promise<T> => {
    const plan = planRun(sealed, { args: [code], env: {}, secrets: {}, limits }, seccompProfile);
    const options = sandboxOptions(makeRunId(), owner, plan) as SandboxOptions;
    // Nothing is attached here: what the program prints is read from the log.
    options.OpenStdin = false;
    change(options);
    const container = await client.docker.createContainer(options);
    try {
      await container.start();
      return await act(container);
    } finally {
      await container.remove({ force: true, v: true });
    }
  };
  const runWithout: AttackSandbox['runWithout'] = (change, code, limits = {}) =>
    started(change, code, limits, async (container) => {
      await container.wait({ abortSignal: AbortSignal.timeout(60_000) });
      const { State } = await container.inspect();
      return { exitCode: State.ExitCode, oomKilled: State.OOMKilled, ...(await logsOf(container)) };
    });
  return {
    home,
    tag,
    imageId,
    probeFile: join(folder, 'probe'),
    run,
    record,
    async ask<T>(expression: string, ...flags: readonly string[]) {
      const { code, stdout, stderr } = await run(printing(expression), ...flags);
      if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    runWithout,
    derive: async (code, ...instructions) => {
      const run = JSON.stringify(['/usr/local/bin/node', '-e', code]);
      const lines = [`FROM ${tag}`, 'USER 0:0', `RUN ${run}`, `USER ${image.config.User}`, ...instructions];
      const folder = await makeFolder({ Dockerfile: lines.join('\n') });
      const env = { ...process.env, DOCKER_BUILDKIT: '1' };
      const { stdout } = await execute('docker', ['build', '-q', '--network', 'none', folder], { env });
      const id = stdout.trim();
      cleanUps.unshift(async () => void (await execute('docker', ['image', 'rm', '-f', id])));
      return id;
    },
    beside: (change, code, act) => started(change, code ?? 'setInterval(() => {}, 1000)', {}, act),
    async askWithout<T>(change: Change, expression: string, limits?: Partial<Resources>) {
      const { exitCode, stdout, stderr } = await runWithout(change, printing(expression), limits);
      if (exitCode !== 0) throw new Error(`exit ${exitCode}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
  };
}

const cleanUps: (() => Promise<void>)[] = [];
afterAll(async () => {
  // What was made of an image goes before it.
  for (const cleanUp of cleanUps) await cleanUp();
});

/** The call `name` of the probe's answer: `OK` or an error's or a signal's name. */
export function probed(answer: string, name: string): string | undefined {
  return answer
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1);
}
