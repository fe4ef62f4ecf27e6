import { SjsError } from '../errors.js';
import { needsGateway } from '../model/network.js';
import type { Policy } from '../model/policy.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Subject } from '../model/waiver.js';
import type { Reporter } from '../ports/reporter.js';
import { buildSandbox, type BuildTools } from './build-sandbox.js';
import { findGateway } from './find-gateway.js';
import type { TargetTools } from './find-target.js';
import { gatewaySandbox, gatewayVersion } from './gateway-sandbox.js';

/** What it takes to have the gateway that an image needs. */
export interface ProvideTools extends TargetTools {
  readonly reporter: Reporter;
  readonly build: BuildTools;
}

/**
 * Makes sure that the gateway is there for what an image declares that was not built here. Where it cannot be built, that
 * is said, with what to do: the image is in all the same.
 * @throws SjsError `ABORTED`, `STORE_FAILED`; never for what the base of the gateway lacks
 */
export async function provideGateway(
  sealed: SealedImage,
  subject: Subject,
  policy: Policy,
  tools: ProvideTools,
  signal?: AbortSignal,
): Promise<void> {
  const { build, reporter } = tools;
  const version = async (carriesTraffic: boolean): Promise<string> =>
    gatewayVersion(await build.gatewaySource(), carriesTraffic);
  try {
    try {
      await findGateway(sealed, subject, policy, { ...tools, gatewayVersion: version }, signal);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      const carriesTraffic = needsGateway(sealed.labels.plan.network);
      const gateway = gatewaySandbox(await build.gatewaySource(), policy, subject, carriesTraffic);
      await buildSandbox(gateway, { frozen: false, update: false }, build, signal);
    }
  } catch (error) {
    if (!(error instanceof SjsError) || ['ABORTED', 'STORE_FAILED'].includes(error.code)) throw error;
    const next = error.next === undefined ? '' : `${error.next}; `;
    reporter.warn(
      `${sealed.entry.tag} needs a gateway and cannot be run yet, since there is no gateway: ${error.message} (${next}then do the same again)`,
    );
  }
}

const isAbsent = (error: unknown): boolean =>
  error instanceof SjsError && ['GATEWAY_MISSING', 'SEAL_IMAGE_MISSING'].includes(error.code);
