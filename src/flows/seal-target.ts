import { SjsError } from '../errors.js';
import type { CodeTarget, Grants } from '../model/grants.js';
import type { RunRequest } from '../model/run-plan.js';
import type { ValidTexts } from '../model/schema-check.js';
import { targetForm } from '../model/target-form.js';
import type { Reporter } from '../ports/reporter.js';
import { loadCode, loadPath } from '../stages/load/load-code.js';
import { buildSandbox, type BuildTools } from './build-sandbox.js';
import type { AskedGrants } from './find-target.js';

/** What a run asks of code that is not sealed yet. */
export interface AskedOfCode extends AskedGrants, Partial<RunRequest> {
  /** Takes what comes out of /out: there has to be one. */
  readonly onArtifact?: unknown;
}

/** What sealing a path or code needs of the world. */
export interface SealTools extends BuildTools {
  readonly valid: ValidTexts;
  /** Whose policy applies to code that is in no file. */
  readonly workingDirectory: () => string;
}

/**
 * Seals what a path or code is, with what the run grants it, through the same pipeline as any sandbox.yaml; says so in
 * one line. Unchanged, it is recognised, its base verified all the same.
 * @throws SjsError as {@link loadPath} and {@link buildSandbox}; `USAGE` for code that is on no path.
 */
export async function sealTarget(
  target: string | CodeTarget,
  asked: AskedOfCode,
  tools: SealTools,
  signal?: AbortSignal,
): Promise<{ readonly seal: string; readonly isAdHoc: boolean }> {
  const grants = grantsOf(asked);
  const { loaded, remarks } = await load(target, grants, tools);
  for (const remark of remarks) tools.reporter.warn(remark);
  const quiet = { ...tools, reporter: quietly(tools.reporter) };
  const { tag, seal, cached } = await buildSandbox(loaded, { frozen: false, update: false }, quiet, signal);
  tools.reporter.step('seal', `${tag}${cached ? ', unchanged' : ''}`);
  tools.reporter.done();
  return { seal, isAdHoc: loaded.isAdHoc ?? false };
}

function load(target: string | CodeTarget, grants: Grants, { valid, workingDirectory }: SealTools) {
  if (typeof target !== 'string') return loadCode(target, workingDirectory(), grants, valid);
  if (targetForm(target) === 'path') return loadPath(target, grants, valid);
  throw new SjsError('USAGE', '- stands for the code on standard input, which the command line reads', {
    next: "give the code itself: { code, name: 'stdin' }",
  });
}

function grantsOf(asked: AskedOfCode): Grants {
  const { env, secrets, limits, command, inputs, onArtifact, ports, egress, language } = asked;
  return {
    env: env ?? {},
    secrets: Object.keys(secrets ?? {}),
    command: command ?? null,
    inputs: inputs ?? [],
    out: onArtifact !== undefined,
    limits: limits ?? {},
    ports: ports ?? [],
    egress: egress ?? [],
    language: language ?? null,
  };
}

/** The steps of a build are told with --verbose; but that a base is looked through takes its time, once. */
const quietly = (reporter: Reporter): Reporter => ({
  ...reporter,
  step: (stage, message) =>
    stage === 'inspect' ? reporter.step(stage, message) : reporter.debug(`${stage} ${message}`),
});
