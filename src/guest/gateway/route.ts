import { lookup } from 'node:dns/promises';
import { isPublicAddress } from './addresses.js';
import type { Config } from './config.js';

const LOOKUP_MS = 10_000;

/** A name that is not declared, or a request that does not name one as it must. */
export class Refused extends Error {}

/** Where the connections for a name on a port go. Names are compared as they are written. Rejects with {@link Refused}. */
export type Route = (
  name: string,
  port: number,
) => Promise<{ readonly addresses: readonly string[]; readonly port: number }>;

/** The ways that are declared. What a name means is asked once a run: what was looked at is what is connected to. */
export function createRoute(egress: Config['egress']): Route {
  const resolved = new Map<string, Promise<readonly string[]>>();
  const resolve = (name: string): Promise<readonly string[]> => {
    const known = resolved.get(name);
    if (known) return known;
    const asking = lookUp(name);
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

async function lookUp(name: string): Promise<readonly string[]> {
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Refused('its address could not be found in time')), LOOKUP_MS).unref(),
  );
  const asked = lookup(name, { all: true, family: 4 }).catch((error: NodeJS.ErrnoException) => {
    throw new Refused(`its address could not be found (${error.code})`);
  });
  const found = (await Promise.race([asked, late])).map(({ address }) => address);
  const hidden = found.find((address) => !isPublicAddress(address));
  if (hidden !== undefined) throw new Refused(`it resolves to ${hidden}, which is no public address`);
  return found;
}
