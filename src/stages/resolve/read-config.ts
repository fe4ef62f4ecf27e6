import { SjsError, type Problem } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { Platform } from '../../model/base.js';
import { isDigest, type Digest } from '../../model/digest.js';
import { malformedFields, splitRuntimeConfig, type RuntimeConfig } from '../../model/runtime-config.js';
import { parseFields, toFields } from './read-manifest.js';

/** What an image's config says that matters to a base. */
export interface ImageConfig {
  readonly platform: Platform;
  readonly config: RuntimeConfig;
  readonly diffIds: readonly Digest[];
}

/**
 * Reads the config blob of a base with that many layers.
 * @throws SjsError `BASE_MANIFEST_INVALID` when it does not belong to such an image; as {@link checkBaseConfig}.
 */
export function readConfig(bytes: Uint8Array, layers: number, name: string): ImageConfig {
  const { platform, diffIds, runtime } = readAnyConfig(bytes, layers, name);
  return { platform, config: checkBaseConfig(runtime, name), diffIds };
}

/**
 * The same of any image, whose runtime config nobody has looked at.
 * @throws SjsError `BASE_MANIFEST_INVALID`.
 */
export function readAnyConfig(
  bytes: Uint8Array,
  layers: number,
  name: string,
): Omit<ImageConfig, 'config'> & { readonly runtime: Readonly<Record<string, unknown>> } {
  const fail = (why: string): never => {
    throw new SjsError('BASE_MANIFEST_INVALID', `the config of ${name} is refused: ${why}`, {
      next: 'use an image that was pushed by docker or another tool that follows the OCI image specification',
    });
  };
  const { os, architecture, variant, rootfs, config } = parseFields(bytes) ?? fail('it is not a JSON object');
  if (typeof os !== 'string' || typeof architecture !== 'string') return fail('it names no platform');
  const { type, diff_ids: diffIds } = toFields(rootfs) ?? fail('it has no rootfs');
  if (type !== 'layers' || !Array.isArray(diffIds) || !diffIds.every(isDigest))
    return fail('its diff IDs are not sha256');
  if (diffIds.length !== layers) return fail(`it lists ${diffIds.length} layers, the manifest ${layers}`);
  const runtime =
    config === undefined || config === null ? {} : (toFields(config) ?? fail('config is not an object'));
  return {
    platform: { os, architecture, ...(typeof variant === 'string' && variant !== '' && { variant }) },
    diffIds,
    runtime,
  };
}

/**
 * The runtime config of a base, when nothing in it would reach into what is built on it: no volumes, triggers, labels of
 * sjs, or fields that the seal does not know (SPEC §5).
 * @throws SjsError `BASE_CONFIG_REFUSED` with every field that is in the way.
 */
function checkBaseConfig(raw: Readonly<Record<string, unknown>>, name: string): RuntimeConfig {
  const { config, unknownFields } = splitRuntimeConfig(raw);
  const problems: Problem[] = unknownFields.map((field) => ({
    message: `config field ${cleanText(field.slice(0, 100))} is not known to this sjs`,
  }));
  if (config.Volumes !== undefined) problems.push({ message: 'Volumes would be writable in every run' });
  if (config.OnBuild !== undefined) problems.push({ message: 'OnBuild would run while building' });
  const labels = Object.keys(toFields(config.Labels) ?? {}).filter((label) =>
    /^dev\.sjs(?:\.|$)/i.test(label),
  );
  problems.push(
    ...labels.map((label) => ({
      message: `label ${cleanText(label.slice(0, 100))} belongs to sealed images`,
    })),
  );
  const malformed = malformedFields(config);
  problems.push(...malformed.map((field) => ({ message: `config field ${field} is not of its type` })));
  if (problems.length === 0) return config;
  throw new SjsError(
    'BASE_CONFIG_REFUSED',
    `the config of ${name} is refused: ${problems.map((problem) => problem.message).join('; ')}`,
    { problems, next: 'use a base without these, or build one from it that leaves them out' },
  );
}
