import { lookup as lookUpName } from 'node:dns/promises';
import { isPublicAddress } from './addresses.js';
import type { Config } from './config.js';

/** Where the requests for a name go. */
export interface Target {
  readonly addresses: readonly string[];
  readonly port: number;
}

/** Where the connections for a name on a port go. Names are compared as they are written. Rejects with {@link Refused}. */
export type Route = (name: string, port: number) => Promise<Target>;

/** A name that is not declared, or a request that does not name one as it must. */
export class Refused extends Error {}

const LOOKUP_MS = 10_000;

/** All addresses of a name. */
export type Lookup = (
  name: string,
  options: { readonly all: true; readonly family: 4 },
) => Promise<readonly { readonly address: string }[]>;

/**
 * The ways that are declared. What a name means is asked once a run: what was looked at is what is connected to.
 * @param host public addresses of the machine, which are no more public to its sandboxes than its private ones
 */
export function createRoute(
  egress: Config['egress'],
  host: readonly string[],
  lookup: Lookup = lookUpName,
): Route {
  const resolved = new Map<string, Promise<readonly string[]>>();
  const resolve = (name: string): Promise<readonly string[]> => {
    const known = resolved.get(name);
    if (known) return known;
    const asking = lookUp(name, host, lookup);
    resolved.set(name, asking);
    // What failed may be asked again.
    asking.catch(() => resolved.delete(name));
    return asking;
  };
  return async (name, port) => {
    const rule = egress.find((one) => one.name === name && one.port === port);
    if (!rule) throw new Refused('not declared');
    return { addresses: rule.address === null ? await resolve(name) : [rule.address], port };
  };
}

async function lookUp(name: string, host: readonly string[], lookup: Lookup): Promise<readonly string[]> {
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Refused('its address could not be found in time')), LOOKUP_MS).unref(),
  );
  const asked = lookup(name, { all: true, family: 4 }).catch((error: NodeJS.ErrnoException) => {
    throw new Refused(`its address could not be found (${error.code})`);
  });
  const found = (await Promise.race([asked, late])).map(({ address }) => address);
  for (const address of found) {
    if (!isPublicAddress(address)) throw new Refused(`it resolves to ${address}, which is no public address`);
    if (host.includes(address))
      throw new Refused(`it resolves to ${address}, which is an address of this machine`);
  }
  return found;
}
