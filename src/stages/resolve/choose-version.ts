import semver from 'semver';
import { SjsError } from '../../errors.js';

/** How many versions a message lists. */
const LISTED = 8;

/**
 * The highest version in the range that is not a pre-release. A tag is a version only when it is written exactly as
 * one: `24.2.0`, not `v24.2.0`, `24.2` or `24.2.0-slim`.
 * @throws SjsError `BASE_VERSION_NOT_FOUND` with the versions there are; `SANDBOX_INVALID` for what is no range.
 */
export function chooseVersion(tags: readonly string[], range: string, image: string): string {
  if (semver.validRange(range) === null) {
    throw new SjsError('SANDBOX_INVALID', `${JSON.stringify(range)} is not a semver range`, {
      next: 'write a range such as ">=24.2 <25", or pin the base by digest',
    });
  }
  const versions = semver.rsort(
    tags.filter((tag) => semver.valid(tag) === tag && semver.prerelease(tag) === null),
  );
  const chosen = versions.find((version) => semver.satisfies(version, range));
  if (chosen !== undefined) return chosen;
  const listed = versions.slice(0, LISTED).join(', ') + (versions.length > LISTED ? ', …' : '');
  throw new SjsError('BASE_VERSION_NOT_FOUND', `${image} has no version in ${JSON.stringify(range)}`, {
    cause: versions.length > 0 ? `it has ${listed}` : 'none of its tags is a version (x.y.z)',
    next: 'widen the range, or import the version with sjs base import',
  });
}

/** Whether a locked version still answers the range. */
export function satisfiesRange(version: string, range: string): boolean {
  return (
    semver.valid(version) === version &&
    semver.prerelease(version) === null &&
    semver.satisfies(version, range)
  );
}
