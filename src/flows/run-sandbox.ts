import { SjsError } from '../errors.js';
import type { Policy } from '../model/policy.js';
import type { RunRecord } from '../model/record.js';
import type { RunPlan, RunRequest } from '../model/run-plan.js';
import type { EngineFacts, RunSignals } from '../ports/engine.js';
import { requirePlatform } from '../model/platform.js';
import type { SealedImage } from '../model/sealed-image.js';
import { describeUsedWaiver, type Subject, type UsedWaiver } from '../model/waiver.js';
import type { Reporter } from '../ports/reporter.js';
import { planRun } from '../stages/plan/plan-run.js';
import { checkFloors } from '../stages/policy/check-floors.js';
import { checkHostAddresses } from '../stages/policy/check-sandbox.js';
import { executeRun, type AllowedEngine, type ExecuteTools, type RunOutput } from './execute-run.js';
import { findGateway, type GatewayTools } from './find-gateway.js';
import { findSealedImage } from './find-target.js';
import { admitSeal } from './trust-seal.js';

/** What a run needs of the world. */
export interface RunTools extends GatewayTools, ExecuteTools {
  readonly seccompProfile: () => Promise<string>;
  /** The operator's policy; a sealed image has no repository around it. */
  readonly loadPolicy: () => Promise<Policy>;
}

/** A sealed image, and what is asked of it at run time. */
export interface RunTarget {
  /** A tag, seal or name. */
  readonly target: string;
  readonly request: RunRequest;
  /** Of a call: its stdin, which are its arguments. Of code that comes with the run: that, and what it is given. */
  readonly arguments?: Uint8Array;
}

/**
 * Runs a sealed image, once it is one, and asks the engine for its facts meanwhile: seal check, policy check, record,
 * engine, record. Returns the finished record; what the code did is in its `state` and `exitCode`, and never an
 * exception.
 * @throws SjsError when nothing ran: `TARGET_*`, `SEAL_*`, `POLICY_VIOLATION`, `RIGHTS_WIDENED`, `SECRET_*`, `USAGE`
 * when files are wanted of a sandbox without /out, `CONTROL_MISSING`, `ENGINE_*`. With the error of an engine that
 * failed in the middle, the record says so too.
 */
export async function runSandbox(
  sealing: Promise<RunTarget>,
  output: RunOutput,
  signals: RunSignals,
  tools: RunTools,
): Promise<RunRecord> {
  const policyLoading = tools.loadPolicy();
  const probing = tools.engine.probe(signals.abort);
  const profile = tools.seccompProfile();
  for (const pending of [policyLoading, probing, profile]) pending.catch(() => undefined);
  const decided = await sealing;
  const { target, request } = decided;
  const sealed = await findSealedImage(target, tools, signals.abort);
  const policy = await policyLoading;
  const { subject, waived } = await admitSeal(sealed, policy, tools, request.limits);
  const gateway = await findGateway(sealed, subject, policy, tools, signals.abort);
  const plan = planRun(sealed, request, await profile, gateway);
  if (output.onArtifact && plan.filesystem.outBytes === null) {
    throw new SjsError('USAGE', `${sealed.entry.tag} declares no /out: no files can come out of it`, {
      next: 'leave --out out, or declare spec.filesystem.out and build again',
    });
  }
  const facts = probing.then((found) =>
    requireControls(withPortWarning(found, plan), sealed, plan, policy, subject, waived, tools.reporter),
  );
  const given = decided.arguments && { arguments: decided.arguments };
  return executeRun(
    { sealed, plan, request, policy, facts, replayOf: null, ...given },
    output,
    signals,
    tools,
  );
}

/**
 * Before Engine 28 others on the same link as this machine can reach what is published on 127.0.0.1 alone: the engine
 * rewrites the address before the kernel would refuse it. The record of a run that publishes says so.
 */
export function withPortWarning(facts: EngineFacts, { network }: Pick<RunPlan, 'network'>): EngineFacts {
  const publishes = network.mode === 'isolated' && network.ports.length > 0;
  if (!publishes || facts.portWarning === null) return facts;
  return { ...facts, warnings: [...facts.warnings, facts.portWarning] };
}

/**
 * A control that the engine cannot enforce, an image that it would have to emulate, an engine below the policy's floors,
 * or traffic to the engine's own machine is refused before anything runs. What is waived is said.
 * @param waived what was waived before the engine was known
 */
export function requireControls(
  facts: EngineFacts,
  { image, entry }: SealedImage,
  { network }: Pick<RunPlan, 'network'>,
  policy: Policy,
  subject: Subject,
  waived: readonly UsedWaiver[],
  reporter: Pick<Reporter, 'warn'>,
): AllowedEngine {
  requirePlatform(image.platform, facts.platform, entry.tag);
  const ofEngine = checkFloors(policy, { engine: facts.version, runc: facts.runtimeVersion }, subject);
  checkHostAddresses(policy, network, facts.hostAddresses);
  const waivers = [...waived, ...ofEngine];
  for (const waiver of waivers) reporter.warn(describeUsedWaiver(waiver));
  if (facts.missingControls.length === 0) return { ...facts, waivers };
  const list = facts.missingControls.map(({ control, reason }) => `${control} (${reason})`).join(', ');
  throw new SjsError('CONTROL_MISSING', `${facts.name} ${facts.version} cannot enforce ${list}`, {
    next: 'sjs doctor says what this machine lacks and how to mend it',
  });
}
