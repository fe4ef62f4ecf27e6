import type { Policy } from '../model/policy.js';
import { DEFAULT_RESOURCES, type LoadedSandbox } from '../model/sandbox.js';
import { checkSandbox } from '../stages/policy/check-sandbox.js';
import { defaultResources } from '../stages/policy/effective-policy.js';

/** Checks a loaded sandbox against the policy, without engine or registry. Throws `POLICY_VIOLATION`. */
export function validateSandbox(loaded: LoadedSandbox, policy: Policy): void {
  checkSandbox(policy, loaded, {
    ...DEFAULT_RESOURCES,
    ...defaultResources(policy),
    ...loaded.sandbox.resources,
  });
}
