import { sha256, shortDigest } from './digest.js';
import type { Owner } from './record.js';

/** Repository of the tags that images have while they are built. */
export const BUILDING = 'sjs/building';

/**
 * The tag that an image has from its making until it is sealed. It says whose it is, so that recovery finds what a dead
 * process left, and two builds of the same content cannot remove each other's: an image goes with its last tag.
 * @param random unique within the owner; letters and digits
 */
export function formatBuildingTag(owner: Owner, random: string): string {
  const { bootId, pid, startTime, home } = owner;
  const boot = Buffer.from(bootId).toString('base64url');
  return `${BUILDING}:${shortDigest(sha256(home))}.${boot}.${pid}.${startTime}.${random}`;
}

/** Whose tag it is; null when it is none of this SJS_HOME. */
export function readBuildingTag(tag: string, home: string): Owner | null {
  const [homeDigest, boot, pid, startTime, random, ...rest] = tag.slice(BUILDING.length + 1).split('.');
  const isOurs = tag.startsWith(`${BUILDING}:`) && homeDigest === shortDigest(sha256(home));
  if (!isOurs || boot === undefined || startTime === undefined || !random || rest.length > 0) return null;
  if (!/^[1-9][0-9]*$/.test(pid ?? '')) return null;
  return { bootId: Buffer.from(boot, 'base64url').toString(), pid: Number(pid), startTime, home };
}
