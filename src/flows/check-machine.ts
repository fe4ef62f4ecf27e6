import { SjsError } from '../errors.js';
import type { Policy } from '../model/policy.js';
import type { Clock } from '../ports/clock.js';
import type { Engine } from '../ports/engine.js';
import type { RecordStore } from '../ports/record-store.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { checkFloors } from '../stages/policy/check-floors.js';
import { noSandbox } from '../model/waiver.js';
import { waiversToMention } from '../stages/policy/find-waiver.js';

/** One thing sjs needs, and how it stands. */
export interface MachineCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly message: string;
  /** How to mend it; null when there is nothing to mend. */
  readonly next: string | null;
}

/** What this machine has and lacks. */
export interface DoctorReport {
  /** True when nothing failed. */
  readonly isReady: boolean;
  readonly checks: readonly MachineCheck[];
}

/** What there is to check. Each is made only when asked for, and may fail. */
export interface Machine {
  readonly engine: () => Promise<Engine>;
  readonly verifier: () => Promise<SignatureVerifier>;
  readonly loadPolicy: () => Promise<Policy>;
  readonly clock: Pick<Clock, 'now'>;
  readonly store: () => Promise<RecordStore>;
  readonly nodeVersion: string;
  readonly home: string;
}

/** Checks engine, controls, cosign, policy and state, all at once; a failure is part of the report, never thrown. */
export async function checkMachine(machine: Machine, signal?: AbortSignal): Promise<DoctorReport> {
  const groups = await Promise.all([
    Promise.resolve([ok('node', `Node ${machine.nodeVersion}`)]),
    attempt('engine', () => checkEngine(machine, signal)),
    attempt('cosign', async () => [
      ok('cosign', `cosign ${await (await machine.verifier()).version(signal)}`),
    ]),
    attempt('policy', () => checkPolicy(machine)),
    attempt('floors', () => checkPolicyFloors(machine, signal)),
    attempt('state', async () => {
      await (await machine.store()).listOpen();
      return [ok('state', `records and images are kept in ${machine.home}`)];
    }),
  ]);
  const checks = groups.flat();
  return { isReady: checks.every((check) => check.status !== 'failed'), checks };
}

const ok = (name: string, message: string): MachineCheck => ({ name, status: 'ok', message, next: null });

async function attempt(name: string, check: () => Promise<MachineCheck[]>): Promise<MachineCheck[]> {
  try {
    return await check();
  } catch (error) {
    const next = error instanceof SjsError ? (error.next ?? null) : null;
    return [
      { name, status: 'failed', message: error instanceof Error ? error.message : String(error), next },
    ];
  }
}

async function checkEngine(machine: Machine, signal?: AbortSignal): Promise<MachineCheck[]> {
  const engine = await machine.engine();
  const facts = await engine.probe(signal);
  return [
    ok(
      'engine',
      `${facts.name} ${facts.version}, ${facts.runtime} ${facts.runtimeVersion ?? 'of unknown version'}, kernel ${facts.kernel ?? 'unknown'}`,
    ),
    // The probe takes seconds and an image to run: it is not made here.
    ok(
      'network',
      (await engine.isIsolationProven())
        ? 'isolated: a probe has shown that this engine keeps a network of a run to itself'
        : 'isolated: not tried on this engine yet; the first run with a network probes it, and is refused when it fails',
    ),
    ...facts.warnings.map((message): MachineCheck => ({
      name: 'engine',
      status: 'warning',
      message,
      next: /older/.test(message)
        ? 'update it; until then floors: in a policy can refuse it'
        : 'docs/security-model.md says what that means',
    })),
    ...(facts.portWarning === null
      ? []
      : [
          {
            name: 'engine',
            status: 'warning',
            message: facts.portWarning,
            next: 'update it, or publish no ports (allow.ports: [] in a policy)',
          } as const,
        ]),
    ...facts.missingControls.map(({ control, reason }): MachineCheck => ({
      name: `control ${control}`,
      status: 'failed',
      message: reason,
      next: 'runs are refused until the engine can enforce it',
    })),
  ];
}

async function checkPolicy(machine: Machine): Promise<MachineCheck[]> {
  const policy = await machine.loadPolicy();
  const files = policy.layers.map((layer) => layer.file).join(', ');
  const trusts = policy.layers.some((layer) => layer.origin === 'operator' && (layer.bases?.length ?? 0) > 0);
  return [
    trusts
      ? ok('policy', files)
      : {
          name: 'policy',
          status: 'warning',
          message: `no policy trusts a base yet (${files})`,
          next: 'mirror and sign one: sjs base import <ref> <target> --sign-key KEY --trust; or trust a publisher: sjs policy trust',
        },
    ...waiversToMention(policy, machine.clock.now()).map(
      ({ sandbox, rule, until, reason, state, from }): MachineCheck => ({
        name: 'waiver',
        status: 'warning',
        message: `${rule} for ${sandbox} ${state === 'expired' ? `ended on ${until} and counts no longer` : `ends on ${until}`}: ${reason} (${from})`,
        next: state === 'expired' ? 'remove it, or decide anew' : 'see to it before then',
      }),
    ),
  ];
}

/** What runs and what verifies, against the floors that the policy sets; what it cannot be asked is said elsewhere. */
async function checkPolicyFloors(machine: Machine, signal?: AbortSignal): Promise<MachineCheck[]> {
  const policy = await machine.loadPolicy();
  if (policy.layers.every(({ floors }) => Object.keys(floors).length === 0)) return [];
  const [engine, cosign] = await Promise.all([
    machine
      .engine()
      .then((one) => one.probe(signal))
      .then(({ version, runtimeVersion }) => ({ engine: version, runc: runtimeVersion }))
      .catch(() => ({})),
    machine
      .verifier()
      .then((one) => one.version(signal))
      .then((version) => ({ cosign: version }))
      .catch(() => ({})),
  ]);
  checkFloors(policy, { ...engine, ...cosign }, noSandbox(machine.clock.now()));
  return [ok('floors', 'what the policy asks for at least is there')];
}
