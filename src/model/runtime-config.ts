/**
 * The runtime configuration of an image, in the spelling of the OCI image specification and Docker's inspect.
 * Absent, null and empty are one: a field that is empty is left out.
 */
export interface RuntimeConfig {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly ExposedPorts?: Readonly<Record<string, unknown>>;
  readonly Volumes?: Readonly<Record<string, unknown>>;
  readonly Healthcheck?: Readonly<Record<string, unknown>>;
  readonly StopSignal?: string;
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[];
  readonly ArgsEscaped?: boolean;
}

/** The fields above. A config field beyond them that is not empty is refused by the seal. */
const RUNTIME_CONFIG_FIELDS = [
  'User',
  'Env',
  'Entrypoint',
  'Cmd',
  'WorkingDir',
  'Labels',
  'ExposedPorts',
  'Volumes',
  'Healthcheck',
  'StopSignal',
  'Shell',
  'OnBuild',
  'ArgsEscaped',
] as const satisfies readonly (keyof RuntimeConfig)[];

/**
 * Fields that Docker's inspect of an image always shows but that belong to a container, not to an image
 * (`Hostname`, `AttachStdin`, …). Known, and never part of a seal as long as they are empty.
 */
const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === 'object' && Object.keys(value).length === 0);

const isText = (value: unknown): boolean => typeof value === 'string';
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const mapOf =
  (check: (item: unknown) => boolean) =>
  (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(check);
const isSet = mapOf((item) => mapOf(() => false)(item));

const FIELD_TYPES: Readonly<Record<keyof RuntimeConfig, (value: unknown) => boolean>> = {
  User: isText,
  Env: isTexts,
  Entrypoint: isTexts,
  Cmd: isTexts,
  WorkingDir: isText,
  Labels: mapOf(isText),
  ExposedPorts: isSet,
  Volumes: isSet,
  Healthcheck: mapOf((item) => Number.isSafeInteger(item) || isTexts(item)),
  StopSignal: isText,
  Shell: isTexts,
  OnBuild: isTexts,
  ArgsEscaped: (value) => typeof value === 'boolean',
};

/** Names of the fields that are not of the type that the OCI image specification and Docker give them. */
export function malformedFields(config: RuntimeConfig): readonly string[] {
  return Object.entries(config)
    .filter(([field, value]) => !FIELD_TYPES[field as keyof RuntimeConfig](value))
    .map(([field]) => field);
}

/**
 * Splits a config as inspect or a registry gives it into the fields a seal covers and the names of others that are
 * not empty. Empty fields disappear from both.
 */
export function splitRuntimeConfig(raw: Readonly<Record<string, unknown>>): {
  readonly config: RuntimeConfig;
  readonly unknownFields: readonly string[];
} {
  const entries = Object.entries(raw).filter(([, value]) => !isEmpty(value));
  const known = new Set<string>(RUNTIME_CONFIG_FIELDS);
  return {
    config: Object.fromEntries(entries.filter(([key]) => known.has(key))),
    unknownFields: entries.map(([key]) => key).filter((key) => !known.has(key)),
  };
}
