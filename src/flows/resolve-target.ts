import type { CodeTarget } from '../model/grants.js';
import { isSealedTarget } from '../model/target-form.js';
import { findEntry, refuseGrants, type TargetTools } from './find-target.js';
import type { RunTarget } from './run-sandbox.js';
import type { AskedOfCode, SealTools } from './seal-target.js';

/** What resolving a target needs of the world: of the two, what the target's form asks for. */
export interface ResolveTools {
  readonly targetTools: () => Promise<TargetTools>;
  readonly sealTools: () => Promise<SealTools>;
}

/**
 * The sealed image that a target means, and what is asked of it at run time: a path or code is sealed first.
 * @throws SjsError `RIGHTS_WIDENED` for a right that is asked of what is sealed already, else as sealing does.
 */
export async function resolveTarget(
  target: string | CodeTarget,
  asked: AskedOfCode,
  tools: ResolveTools,
  signal?: AbortSignal,
): Promise<RunTarget & { readonly isSealedNow: boolean }> {
  const { args = null, env = {}, secrets = {}, limits = {} } = asked;
  if (typeof target === 'string' && isSealedTarget(target)) {
    try {
      refuseGrants(target, asked);
    } catch (error) {
      // That there is no such image says more: a folder of that name may have been meant.
      await findEntry(target, await tools.targetTools(), signal);
      throw error;
    }
    return { target, request: { args, env, secrets, limits }, isSealedNow: false };
  }
  // What is sealed already need not wait for the program that builds.
  const [sealTools, { sealTarget }] = await Promise.all([tools.sealTools(), import('./seal-target.js')]);
  const { seal, isAdHoc } = await sealTarget(target, asked, sealTools, signal);
  // What was sealed needs no saying twice.
  const request = { args, env: {}, secrets, limits: isAdHoc ? {} : limits };
  return { target: seal, request, isSealedNow: true };
}
