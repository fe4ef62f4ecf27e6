import { SjsError } from '../../errors.js';
import type { RootfsFindings, VerifiedBase } from '../../model/base.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { filledLayers } from '../../model/image-layers.js';
import type { RuntimeConfig } from '../../model/runtime-config.js';
import type { ImageFacts } from '../../model/sealed-image.js';

/**
 * Compares what was built with what was asked for: the base's layers and then ours, and exactly the config that was
 * rendered. Whatever a builder, a frontend or a base slipped in is a refusal.
 * @param layers how many of ours have something in them: that of the source, and that of the packages below it
 * @throws SjsError `SEAL_REFUSED` naming each field.
 */
export function checkBuiltImage(
  image: ImageFacts,
  base: VerifiedBase,
  expected: RuntimeConfig,
  layers = 1,
): void {
  const problems = [
    ...configProblems(image.config, expected),
    ...image.unknownConfigFields.map((field) => `config field ${field} is not known to this sjs`),
  ];
  if (canonicalJson(image.diffIds.slice(0, base.diffIds.length)) !== canonicalJson(base.diffIds)) {
    problems.push('the lowest layers are not those of the verified base');
  }
  const own = filledLayers(image.diffIds.slice(base.diffIds.length)).length;
  if (own !== layers) problems.push(`there are ${own} layers above the base instead of ${layers}`);
  if (image.platform.os !== base.platform.os || image.platform.architecture !== base.platform.architecture) {
    problems.push(`the platform is ${image.platform.os}/${image.platform.architecture}`);
  }
  if (problems.length > 0) {
    throw new SjsError(
      'SEAL_REFUSED',
      `the image that was built is not the one that was asked for: ${problems.join('; ')}`,
      {
        problems: problems.map((message) => ({ message })),
        next: 'report this with the output of sjs doctor: the builder does not do what sjs relies on',
      },
    );
  }
}

function configProblems(actual: RuntimeConfig, expected: RuntimeConfig): string[] {
  const fields = new Set([...Object.keys(actual), ...Object.keys(expected)]) as Set<keyof RuntimeConfig>;
  return [...fields]
    .filter((field) => normalize(field, actual[field]) !== normalize(field, expected[field]))
    .map((field) => `${field} is ${show(actual[field])} instead of ${show(expected[field])}`);
}

/** The builder keeps the order of Env as it likes; a set of names and values is what counts. */
function normalize(field: string, value: unknown): string {
  return canonicalJson(
    field === 'Env' && Array.isArray(value) ? [...(value as string[])].sort() : (value ?? null),
  );
}

const show = (value: unknown): string =>
  value === undefined ? 'absent' : canonicalJson(value).slice(0, 300);

/**
 * Refuses a base whose file system could be turned against the host or the sandbox (ATTACKS D16, S06).
 * @throws SjsError `BASE_ROOTFS_REFUSED` with the list.
 */
export function checkRootfs(base: VerifiedBase, findings: RootfsFindings): void {
  const inert = base.allowSetuidFiles
    ? []
    : [
        ...findings.setuidFiles.map((path) => `${path} is setuid or setgid`),
        ...findings.capabilityFiles.map((path) => `${path} has file capabilities`),
      ];
  const problems = [
    ...findings.notPlainFolders.map((path) => `${path} is not a plain folder`),
    ...findings.worldWritableFolders.map((path) => `${path} is writable by everybody`),
    ...inert,
  ];
  if (problems.length === 0) return;
  throw new SjsError(
    'BASE_ROOTFS_REFUSED',
    `the base ${base.repository.registry}/${base.repository.path}@${base.manifestDigest} is not fit to be sealed over: ${problems.slice(0, 5).join('; ')}${problems.length > 5 ? `; and ${problems.length - 5} more` : ''}`,
    {
      problems: problems.map((message) => ({ message })),
      next:
        inert.length === problems.length
          ? 'use a base without setuid files and file capabilities, or set allowSetuidFiles: true in the rule of the policy that trusts it'
          : 'use another base',
    },
  );
}
