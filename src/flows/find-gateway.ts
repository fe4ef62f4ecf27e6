import { SjsError } from '../errors.js';
import { needsGateway } from '../model/network.js';
import type { Policy } from '../model/policy.js';
import { needsGatewayImage } from '../model/run-plan.js';
import { GATEWAY_NAME } from '../model/sandbox.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Subject } from '../model/waiver.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import type { TargetTools } from './find-target.js';

/** What finding the gateway needs beside the store and the images. */
export interface GatewayTools extends TargetTools {
  /** The version of this sjs's gateway, or of the one that is there for its Node alone. */
  readonly gatewayVersion: (carriesTraffic: boolean) => Promise<string>;
}

/**
 * The sealed gateway for what a sandbox declares, its seal and its rights checked like any other's; null when it
 * needs none. Nothing is built at a run; one that was sealed elsewhere is anybody's program by that name.
 * @param subject the sandbox, as it was judged: what is waived for it is waived for its gateway
 * @throws SjsError `GATEWAY_MISSING`, and what the checks throw
 */
export async function findGateway(
  sealed: SealedImage,
  subject: Subject,
  policy: Policy,
  tools: GatewayTools,
  signal?: AbortSignal,
): Promise<SealedImage | null> {
  if (!needsGatewayImage(sealed.labels.plan)) return null;
  const carriesTraffic = needsGateway(sealed.labels.plan.network);
  const [entries, version] = await Promise.all([
    tools.store.listImages(),
    tools.gatewayVersion(carriesTraffic),
  ]);
  // What came from elsewhere is never found by a name (SPEC §7), and would stand outside of every sandbox.
  const newest = entries
    .filter((entry) => entry.name === GATEWAY_NAME && entry.version === version && !entry.imported)
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1))[0];
  if (!newest) {
    throw new SjsError(
      'GATEWAY_MISSING',
      'there is no gateway of this sjs, which carries declared traffic and brings out /out where the base has no Node',
      {
        next: 'build the sandbox again with sjs build, which builds it too; or import its file again with sjs import',
      },
    );
  }
  const gateway = checkSeal(await tools.images.inspect(newest.tag, signal), newest);
  checkSealedPlan(policy, gateway.labels, [newest.base.digest], subject);
  return gateway;
}
