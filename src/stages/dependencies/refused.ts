import { SjsError } from '../../errors.js';
import { isWheelLocation, type ResolvedPackage } from '../../model/package-list.js';

/** An archive that neither npm nor a tool that builds wheels would have made. */
export function refused(
  { name, version, location }: ResolvedPackage,
  why: string,
  cause?: unknown,
): SjsError {
  const [archive, tool] = isWheelLocation(location)
    ? ['wheel', 'no tool builds']
    : ['tarball', 'npm packs no'];
  return new SjsError('PACKAGE_REFUSED', `the ${archive} of ${name}@${version} is not laid in: ${why}`, {
    cause,
    next: `look into the ${archive} before you trust it: ${tool} such a thing`,
  });
}

/** More than is read of a package. */
export const tooLarge = (message: string): SjsError =>
  new SjsError('PACKAGE_TOO_LARGE', message, {
    next: 'depend on less; of npm, leave dev dependencies out with omit: [dev]',
  });

/** More than all of them may have together. */
export const unpacksTooMuch = ({ name, version }: ResolvedPackage, limit: string): SjsError =>
  tooLarge(`the packages unpack to more than ${limit}: passed at ${name}@${version}`);
