import type { Policy } from '../model/policy.js';
import { DEFAULT_RESOURCES, type LoadedSandbox, type Resources } from '../model/sandbox.js';
import type { UsedWaiver } from '../model/waiver.js';
import { checkSandbox } from '../stages/policy/check-sandbox.js';
import { defaultResources } from '../stages/policy/effective-policy.js';

/** The limits of a sandbox: its own, else the policy's defaults, else those of SPEC §3. */
export const effectiveResources = ({ sandbox }: LoadedSandbox, policy: Policy): Resources => ({
  ...DEFAULT_RESOURCES,
  ...defaultResources(policy),
  ...sandbox.resources,
});

/**
 * Checks a loaded sandbox against the policy, without engine or registry; returns what is waived for it.
 * @throws SjsError as {@link checkSandbox}
 */
export function validateSandbox(loaded: LoadedSandbox, policy: Policy, now: number): readonly UsedWaiver[] {
  return checkSandbox(policy, loaded, effectiveResources(loaded, policy), now);
}
