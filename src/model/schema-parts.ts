import { RESOURCE_RULES } from './bounds.js';
import { formatBytes, formatCpu, formatDuration } from './quantity.js';
import { DEFAULT_RESOURCES } from './sandbox.js';
import type { QuantityRule } from './schema-check.js';

/** Anything under a key that begins with `x-` is free. */
const FREE = { '^x-': {} };

/** A mapping with exactly these keys. */
export const mapping = (properties: object, required: readonly string[] = [], description?: string) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  patternProperties: FREE,
  ...(required.length > 0 && { required }),
  ...(description !== undefined && { description }),
});

/** A quantity: whole number or text, checked by our own keyword. */
export const quantity = (rule: QuantityRule, description: string, defaultValue?: string | number) => ({
  type: rule.kind === 'count' ? 'integer' : ['string', 'number'],
  description,
  ...(defaultValue !== undefined && { default: defaultValue }),
  quantity: rule,
});

/** Text that must fit an expression; `title` says in words what fits. */
export const text = (title: string, pattern: string, description: string, more: object = {}) => ({
  type: 'string',
  title,
  pattern,
  description,
  ...more,
});

/** A list of texts without repetition. */
export const list = (items: object, description: string, more: object = {}) => ({
  type: 'array',
  items,
  uniqueItems: true,
  maxItems: 256,
  description,
  ...more,
});

/** The keys under `resources`, as sandbox.yaml and a policy's defaults have them. */
export const resourceProperties = {
  cpu: quantity(RESOURCE_RULES.cpu, 'CPUs: 1, 1.5 or 500m.', formatCpu(DEFAULT_RESOURCES.milliCpu)),
  memory: quantity(
    RESOURCE_RULES.memory,
    'Memory and swap together; /tmp and /out count.',
    formatBytes(DEFAULT_RESOURCES.memoryBytes),
  ),
  pids: quantity(RESOURCE_RULES.pids, 'Processes and threads.', DEFAULT_RESOURCES.pids),
  files: quantity(RESOURCE_RULES.files, 'Open files a process.', DEFAULT_RESOURCES.files),
  timeout: quantity(
    RESOURCE_RULES.timeout,
    'Wall time of a run.',
    formatDuration(DEFAULT_RESOURCES.timeoutMs),
  ),
  output: quantity(
    RESOURCE_RULES.output,
    'stdout and stderr together.',
    formatBytes(DEFAULT_RESOURCES.outputBytes),
  ),
};

/** The keys of a base, as sandbox.yaml and a policy's defaults have them. */
export const baseSchema = mapping(
  {
    image: text(
      'a repository without tag or digest',
      '^[^@\\s]{1,512}$',
      'Repository, without tag or digest.',
    ),
    version: text('a semver range', '^.{1,128}$', 'A semver range over the tags of the repository.', {
      examples: ['>=24.2 <25'],
    }),
    digest: text('sha256: and 64 hex digits', '^sha256:[0-9a-f]{64}$', 'A pin, instead of a version.'),
  },
  ['image'],
  'The base image; absent, the operator’s default for the language decides.',
);
