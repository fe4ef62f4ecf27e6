import semver from 'semver';
import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { LockedPackage } from '../../model/locked-package.js';
import { parseAlias } from '../../model/package-list.js';
import { dependenciesOf, parseManifest, type Manifest } from './package-graph.js';

/** An install script that the lockfile does not tell of is none that its author has thought about. */
export function checkScript(one: LockedPackage, wanted: LockedPackage, script: string | null): void {
  if (script === null || one.worksWithoutScript) return;
  throw mismatch(
    wanted,
    `${one.location} has an install script (${script}), which sjs does not run, and the lockfile does not say so`,
    `if it works without, write "allowScripts": { "${one.name}": false } into package.json, as npm does; else depend on one that ships what it needs`,
  );
}

/** The name and version of the lockfile are those of the package itself: else nobody would know what is in there. */
export function checkManifest(one: LockedPackage, wanted: LockedPackage, text: Buffer | undefined): Manifest {
  const manifest = text === undefined ? null : parseManifest(text.toString('utf8'));
  if (manifest === null) throw mismatch(wanted, `${one.location} has no package.json that can be read`);
  const { name, version } = manifest;
  const found = typeof version === 'string' ? semver.parse(version, { loose: true })?.version : undefined;
  if (name === one.name && found === one.version) {
    checkAliases(one, wanted, manifest);
    return manifest;
  }
  const says = cleanText(`${String(name)}@${String(version)}`.slice(0, 300));
  throw mismatch(
    wanted,
    `it says that ${one.location} is ${says}, and the lockfile ${one.name}@${one.version}`,
  );
}

/** An alias that only the lockfile knows would put one package in another's place. */
function checkAliases({ location, aliases }: LockedPackage, wanted: LockedPackage, manifest: Manifest): void {
  const asked = dependenciesOf(manifest, false);
  for (const [name, real] of Object.entries(aliases)) {
    const spec = asked.get(name)?.spec;
    if (spec !== undefined && parseAlias(spec)?.name === real) continue;
    throw mismatch(
      wanted,
      `by the lockfile ${location} asks for ${name} as ${real}, by its own package.json not`,
    );
  }
}

function mismatch(
  { name, version }: LockedPackage,
  why: string,
  next = 'remove it from package.json, or look into the tarball: its integrity is right, its content is not',
): SjsError {
  return new SjsError(
    'PACKAGE_MISMATCH',
    `the tarball of ${name}@${version} is not what the lockfile says: ${why}`,
    { next },
  );
}
