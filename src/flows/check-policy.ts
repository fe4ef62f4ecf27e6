import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SjsError } from '../errors.js';
import type { Policy } from '../model/policy.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { isSealedTarget, targetForm } from '../model/target-form.js';
import type { UsedWaiver } from '../model/waiver.js';
import type { Clock } from '../ports/clock.js';
import { findSandboxes } from '../stages/load/find-sandboxes.js';
import { waiversToMention, type MentionedWaiver } from '../stages/policy/find-waiver.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { admitSeal } from './trust-seal.js';
import { validateSandbox } from './validate-sandbox.js';

/** What checking needs of the world; the engine only for what is sealed. */
export interface CheckTools {
  readonly clock: Clock;
  readonly loadSandbox: (path: string) => Promise<LoadedSandbox>;
  readonly loadPolicy: (directory: string | null) => Promise<Policy>;
  readonly sealed: () => Promise<TargetTools>;
}

/** What the policy in force says of one sandbox or sealed image. */
export interface CheckedTarget {
  /** As it was given, or found. */
  readonly target: string;
  readonly kind: 'sandbox' | 'sealed';
  readonly isAllowed: boolean;
  /** Every violation is one of its problems; also what could not be read or found. Null when all is allowed. */
  readonly error: SjsError | null;
  /** Rules without whose waiver it would be refused. */
  readonly waivers: readonly UsedWaiver[];
}

/** All that was checked. */
export interface PolicyCheck {
  readonly targets: readonly CheckedTarget[];
  /** Waivers of the operator's policy that have ended, or end soon. */
  readonly waivers: readonly MentionedWaiver[];
}

/**
 * Checks sandboxes, folders of them and sealed images against the policy in force, each for itself; of what is sealed
 * all that a run would ask: who signed it, what is attested of it, its rights.
 * @param targets a tag, seal or image in a registry by its form, else a path; a folder without a sandbox.yaml stands
 * for all below it
 * @throws SjsError `POLICY_*` for a policy of the operator that cannot be read; `FILE_NOT_FOUND` for a folder without any
 */
export async function checkPolicy(
  targets: readonly string[],
  tools: CheckTools,
  signal?: AbortSignal,
): Promise<PolicyCheck> {
  const operator = await tools.loadPolicy(null);
  const now = tools.clock.now();
  const checked: CheckedTarget[] = [];
  for (const target of targets) {
    if (isSealedTarget(target) && targetForm(target) !== 'name') {
      checked.push(
        await attempt(target, 'sealed', async () => {
          const sealedTools = await tools.sealed();
          const sealed = await findSealedImage(target, sealedTools, signal);
          const { waived } = await admitSeal(sealed, operator, { ...sealedTools, clock: tools.clock });
          return waived;
        }),
      );
      continue;
    }
    for (const path of await sandboxesAt(target)) {
      checked.push(
        await attempt(path, 'sandbox', async () => {
          const loaded = await tools.loadSandbox(path);
          return validateSandbox(loaded, await tools.loadPolicy(loaded.directory), now);
        }),
      );
    }
  }
  return { targets: checked, waivers: waiversToMention(operator, now) };
}

/** A folder of sandboxes has none itself; what is none of both is said by reading it. */
async function sandboxesAt(path: string): Promise<readonly string[]> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return [path];
  const found = await findSandboxes(path);
  return found.some((file) => dirname(file) === resolve(path)) ? [path] : found;
}

async function attempt(
  target: string,
  kind: CheckedTarget['kind'],
  check: () => Promise<readonly UsedWaiver[]>,
): Promise<CheckedTarget> {
  try {
    return { target, kind, isAllowed: true, error: null, waivers: await check() };
  } catch (error) {
    if (!(error instanceof SjsError) || error.code === 'ABORTED') throw error;
    return { target, kind, isAllowed: false, error, waivers: [] };
  }
}
