import { baseNameOf } from '../../model/base-name.js';
import type { Digest } from '../../model/digest.js';
import { SjsError, type Problem } from '../../errors.js';
import { flagOf } from '../../model/grants.js';
import { formatEgress, type Network } from '../../model/network.js';
import type { Policy } from '../../model/policy.js';
import { formatRepository, parseReference } from '../../model/reference.js';
import type { LoadedSandbox, Resources } from '../../model/sandbox.js';
import { LABELS, type SealedLabels } from '../../model/sealed-image.js';
import type { Subject, UsedWaiver } from '../../model/waiver.js';
import { defaultBase, defaultBaseKey, deniesAny, findDenied } from './effective-policy.js';
import { eachOnce } from './find-waiver.js';
import {
  isPinnedByOperator,
  judgeRights,
  refuse,
  type Locate,
  type Verdict,
  type Violation,
} from './judge-rights.js';
import { trustRequirement } from './trust-requirement.js';

/** As what a sandbox is judged: a gateway is there for the one that it serves. */
export const subjectOf = ({ sandbox, folder, serves }: LoadedSandbox, now: number): Subject => ({
  ...(serves ?? { name: sandbox.name, origin: { folder: folder ?? null, repositories: [], seal: null } }),
  now,
});

/** What a policy says of what a sandbox declares, its base included, with its effective limits. */
export function judgeSandbox(
  policy: Policy,
  loaded: LoadedSandbox,
  resources: Resources,
  now: number,
): Verdict {
  const { sandbox } = loaded;
  const locate: Locate = (key) => {
    const path = `spec.${key}`;
    const name = path.replace(/\.\d+$/, '');
    // Where nobody wrote a sandbox.yaml, flags asked for it.
    if (loaded.isAdHoc) return { name: flagOf(path) ?? name };
    const snippet = loaded.excerpt(path);
    return {
      name,
      location: { file: loaded.file, ...loaded.locate(path), path: name },
      ...(snippet !== undefined && { snippet }),
    };
  };
  const subject = subjectOf(loaded, now);
  const { filesystem, network, runtime, secrets, permissions, language } = sandbox;
  const rights = { resources, ...filesystem, network, runtime, secrets, permissions, language };
  const ofRights = judgeRights(policy, rights, locate, subject);
  const ofBase = judgeBase(policy, loaded, locate, subject);
  return {
    violations: [...ofBase.violations, ...ofRights.violations],
    waived: eachOnce([...ofBase.waived, ...ofRights.waived]),
  };
}

/** What can be said of a base before a registry is asked: whether its repository is trusted, and a pin not denied. */
function judgeBase(policy: Policy, loaded: LoadedSandbox, locate: Locate, subject: Subject): Verdict {
  const stated = loaded.sandbox.base;
  const request = stated ?? defaultBase(policy, baseNameOf(loaded.sandbox));
  if (!request) return { violations: [], waived: [] };
  /** One that sandbox.yaml leaves to the operator stands in the operator's policy. */
  const at = (key: string): ReturnType<Locate> =>
    stated ? locate(`base.${key}`) : { name: `${defaultBaseKey(baseNameOf(loaded.sandbox))}.${key}` };
  const { registry, path } = parseReference(request.image);
  const violations: Violation[] = [];
  const waived: UsedWaiver[] = [];
  try {
    trustRequirement(policy, formatRepository({ registry, path }));
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    violations.push(refuse(at('image'), error.message, error.location, error.next, 'BASE_UNTRUSTED'));
  }
  if ('digest' in request) {
    const { refusals, waivers } = findDenied(policy, [request.digest], subject);
    waived.push(...waivers);
    for (const { location } of refusals) {
      const what = `${request.digest} is denied`;
      violations.push(refuse(at('digest'), what, location, 'use another version of the base', 'BASE_DENIED'));
    }
  }
  return { violations, waived };
}

/**
 * Checks what a sandbox declares, with its effective limits.
 * @param now milliseconds since the epoch: waivers end
 * @returns the waivers without which it would have been refused
 * @throws SjsError `POLICY_VIOLATION` with every violation: the line of sandbox.yaml, and the line of the policy;
 * `BASE_UNTRUSTED` or `BASE_DENIED` when nothing else is wrong.
 */
export function checkSandbox(
  policy: Policy,
  loaded: LoadedSandbox,
  resources: Resources,
  now: number,
): readonly UsedWaiver[] {
  const { violations, waived } = judgeSandbox(policy, loaded, resources, now);
  throwAll(violations, 'ask for less, or ask the operator to allow more');
  return waived;
}

/**
 * What a policy says of a sealed image: labels claim, they never grant.
 * @param signedDigests what was signed of its base, an index or the manifest: either may be denied; none when nobody here
 * knows, which a policy that denies any digest does not take
 * @param subject the sandbox for which it runs
 * @param resources the limits of a run, where it asks for tighter ones than are sealed
 */
function judgeSealedPlan(
  policy: Policy,
  { plan, baseDigest, name }: SealedLabels,
  signedDigests: readonly Digest[],
  subject: Subject,
  resources = plan.resources,
): Verdict {
  const { filesystem, network, runtime, secrets, permissions, language } = plan;
  const rights = {
    resources,
    ...filesystem,
    network,
    runtime,
    secrets,
    permissions,
    ...(language && { language }),
  };
  const ofRights = judgeRights(
    policy,
    rights,
    (key) => {
      const path = key.replace(/\.\d+$/, '');
      return { name: path, location: { file: `label ${LABELS.plan}`, path } };
    },
    subject,
  );
  const { refusals, waivers } = findDenied(policy, [baseDigest, ...signedDigests], subject);
  const location = { file: `label ${LABELS.baseDigest}`, path: '' };
  const denied = refusals.map((denial) =>
    refuse(
      { name, location },
      `was sealed over ${baseDigest}, which the policy denies`,
      denial.location,
      'build it again over another base',
      'BASE_DENIED',
    ),
  );
  const unknown =
    denied.length === 0 && signedDigests.length === 0 && deniesAny(policy, subject)
      ? [
          refuse(
            { name, location },
            'was sealed elsewhere, and nobody here knows what was signed of its base: it can be one that the policy denies',
            undefined,
            subject.origin.repositories.length > 0
              ? 'ask who signed it to attest its provenance too, as sjs push --sign does, and pull it then'
              : 'import its file again with sjs import: while the policy denies digests, that verifies the base',
            'BASE_DENIED',
          ),
        ]
      : [];
  return {
    violations: [...denied, ...unknown, ...ofRights.violations],
    waived: eachOnce([...waivers, ...ofRights.waived]),
  };
}

/**
 * Checks the rights a sealed image's labels claim, as they stand now, or as a run tightens them.
 * @returns the waivers without which it would have been refused
 * @throws SjsError `POLICY_VIOLATION` with every violation; `BASE_DENIED` when nothing else is wrong.
 */
export function checkSealedPlan(
  policy: Policy,
  labels: SealedLabels,
  signedDigests: readonly Digest[],
  subject: Subject,
  resources?: Resources,
): readonly UsedWaiver[] {
  const { violations, waived } = judgeSealedPlan(policy, labels, signedDigests, subject, resources);
  const isOfLimits = violations.every(({ problem }) => problem.location?.path?.startsWith('resources.'));
  const run = resources && isOfLimits ? 'run it with tighter limits, ' : '';
  throwAll(violations, `${run}build it again with less, or ask the operator to allow more`);
  return waived;
}

/**
 * Checks that nothing is pinned to the engine's own machine, which is no more public to its sandboxes than a private
 * address is.
 * @param hostAddresses public addresses of that machine
 * @throws SjsError `POLICY_VIOLATION` with every declaration that no operator's policy pins
 */
export function checkHostAddresses(policy: Policy, network: Network, hostAddresses: readonly string[]): void {
  if (network.mode === 'none') return;
  const violations = network.egress
    .filter((rule) => rule.address !== null && hostAddresses.includes(rule.address))
    .filter((rule) => !isPinnedByOperator(policy, rule))
    .map((rule): Violation => ({
      code: 'POLICY_VIOLATION',
      problem: {
        message: `network.egress: ${rule.address} is an address of this machine, which only allow.egress: ["${formatEgress(rule)}"] of an operator's policy allows`,
      },
    }));
  throwAll(violations, 'build it again without that address, or ask the operator to allow it');
}

/** One error for all; its code is theirs when they share one. */
function throwAll(violations: readonly Violation[], next: string): void {
  const problems: readonly Problem[] = violations.map(({ problem }) => problem);
  const [first, ...others] = problems;
  if (!first) return;
  const names = [...new Set(problems.map(({ message }) => message.slice(0, message.indexOf(':'))))];
  const message = others.length === 0 ? first.message : `the policy refuses ${names.join(', ')}`;
  const codes = new Set(violations.map(({ code }) => code));
  const [code = 'POLICY_VIOLATION'] = codes.size === 1 ? codes : [];
  throw new SjsError(code, message, { problems, next: (others.length === 0 && first.next) || next });
}
