import { BASE_TITLES, OTHER_BASES } from './base-name.js';
import { FILESYSTEM_RULES, RESOURCE_RULES } from './bounds.js';
import { NETWORK_MODES } from './network.js';
import { baseSchema, list, mapping, quantity, resourceProperties, text } from './schema-parts.js';
import { attestations, signerProperties, verifySchema } from './signer-schema.js';
import { SOURCE_LIMITS } from './source-tree.js';
import { WAIVABLE_RULES } from './waiver.js';

const GI = 1024 ** 3;
const DAY = 24 * 3_600_000;

const version = (description: string) =>
  text('a version such as 28.0.0', '^[0-9]+(?:\\.[0-9]+){0,2}$', description);

/** JSON Schema (draft-07) of a policy (SPEC §4), with our keywords for quantities and for what is not yet. */
export const POLICY_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'sjs policy',
  description: 'What the operator allows at most and requires at least.',
  ...mapping(
    {
      apiVersion: { const: 'sjs/v1', description: 'Version of this format.' },
      kind: { const: 'Policy', description: 'What this file is.' },
      extends: {
        type: 'string',
        enum: ['restricted', 'networked', 'browser'],
        default: 'restricted',
        description: 'The shipped profile that applies too. Operator layers only.',
      },
      defaults: mapping(
        {
          base: { ...baseSchema, description: 'The base image of Node sandboxes that name none.' },
          bases: mapping(
            Object.fromEntries(
              OTHER_BASES.map((name) => [
                name,
                {
                  ...baseSchema,
                  description: `The base image of ${BASE_TITLES[name]} sandboxes that name none.`,
                },
              ]),
            ),
            [],
            'The same for other languages than Node, and for Node with a browser.',
          ),
          gateway: {
            ...baseSchema,
            description: 'What gateways are built over: a base with Node; absent, base is.',
          },
          repository: text(
            'a registry with a path',
            '^[^@\\s*]{1,400}$',
            'Where sealed images are pushed to; the name of the sandbox is added.',
            { examples: ['registry.example.com/sandboxes'] },
          ),
          resources: mapping(resourceProperties, [], 'Limits for sandboxes that state none.'),
        },
        [],
        'What holds where a sandbox says nothing. Operator layers only.',
      ),
      bases: {
        type: 'array',
        maxItems: 256,
        description: 'Which bases are trusted. A layer without it has no opinion.',
        items: mapping(
          {
            ...signerProperties,
            verify: verifySchema,
            allowSetuidFiles: {
              type: 'boolean',
              default: false,
              description:
                'Accept setuid and setgid files, and files with capabilities, in the base; they are inert in a sandbox.',
            },
          },
          ['repository', 'verify'],
        ),
      },
      deny: mapping(
        {
          digests: list(
            text('sha256: and 64 hex digits', '^sha256:[0-9a-f]{64}$', 'A digest.'),
            'Denied bases, by index or manifest digest; existing seals over them stop too, and so do imported ones whose base was not verified here.',
          ),
        },
        [],
        'What is never used.',
      ),
      limits: mapping(
        {
          ...Object.fromEntries(
            Object.entries({ ...RESOURCE_RULES, ...FILESYSTEM_RULES }).map(([key, rule]) => [
              key,
              quantity(rule, `Upper bound of ${key}.`),
            ]),
          ),
          out: quantity({ ...FILESYSTEM_RULES.out, minimum: 0 }, 'Upper bound of out; 0: no /out at all.'),
          source: quantity(
            { kind: 'bytes', minimum: 1, maximum: SOURCE_LIMITS.mostBytes },
            'Upper bound of a source.',
            '100Mi',
          ),
        },
        [],
        'Upper bounds; of several layers the smallest holds.',
      ),
      allow: mapping(
        {
          network: list({ type: 'string', enum: NETWORK_MODES }, 'Network modes.'),
          runtimes: list({ type: 'string', enum: ['runc'], notYetValues: ['gvisor'] }, 'OCI runtimes.'),
          permissions: list(
            { type: 'string', enum: ['childProcess', 'worker', 'addons', 'wasi'] },
            'Permissions of Node’s permission model.',
          ),
          secrets: list(
            { type: 'string', pattern: '^[A-Za-z0-9_*]{1,128}$' },
            'Names of secrets; * matches any characters.',
          ),
          egress: list(
            text('a pattern of name:port', '^[a-z0-9.:=*-]{1,280}$', 'A pattern.'),
            'What egress may name: patterns of name:port in which * matches any characters. A declaration that pins an address needs a pattern of name:port=address, or * alone; a private address needs such a pattern of an operator.',
          ),
          ports: list(
            text('a pattern of address:port', '^[0-9.:*]{1,32}$', 'A pattern.'),
            'Where ports may be published: patterns of address:port, as 127.0.0.1:3*. Any other address than 127.0.0.1 needs an operator’s pattern.',
          ),
          templates: list(
            { notYet: 'custom templates' },
            'Custom templates. No sandbox can declare one yet, so only the empty list says something.',
          ),
        },
        [],
        'What may be declared at all; of several layers what all allow. A list that is absent allows everything.',
      ),
      floors: mapping(
        {
          engine: version('Lowest engine.'),
          runc: version('Lowest runc.'),
          cosign: version('Lowest cosign.'),
        },
        [],
        'Version floors; below them builds and runs are refused.',
      ),
      sealed: mapping(
        {
          signers: {
            type: 'array',
            maxItems: 256,
            description:
              'Whose sealed images may run besides those that were made here. A layer without it has no opinion.',
            items: mapping({ ...signerProperties, verify: verifySchema }, ['repository', 'verify']),
          },
          attestations: attestations(
            'Attestations that all of them must have, by the same signer; with requireSigned one’s own too.',
          ),
          requireSigned: {
            type: 'boolean',
            default: false,
            description:
              'Seals that were made here need a signature by one of the signers too before they run.',
          },
        },
        [],
        'Which sealed images may run. A seal that was signed without a registry counts as of the repository sjs/<name>, a receipt of a run as of runs/<name>.',
      ),
      retention: mapping(
        {
          age: quantity(
            { kind: 'duration', minimum: 1, maximum: 3650 * DAY },
            'How long records are kept.',
            '720h',
          ),
          size: quantity({ kind: 'bytes', minimum: 0, maximum: 1024 * GI }, 'How much is kept.', '5Gi'),
        },
        [],
        'What prune leaves.',
      ),
      waivers: {
        type: 'array',
        maxItems: 256,
        description:
          'What a sandbox may break for a time. Only of this file, of those that stand after it (the machine’s, yours, --policy), and of a profile that no earlier one chose. Operator layers only.',
        items: mapping(
          {
            sandbox: text(
              'the name of a sandbox, or a pattern of it with *',
              '^[a-z0-9*-]{0,62}[a-z0-9][a-z0-9*-]{0,62}$',
              'Name of the sandbox; * matches any characters. The name is what its sandbox.yaml says, and no more than that: one of the next three says which sandbox is meant.',
            ),
            folder: text(
              'a folder',
              '\\S',
              'Folder of the sandbox.yaml, relative to that of this file, or absolute; compared by its real path. For build, plan and policy check, and for seals that this machine’s own index says were built from there.',
              { maxLength: 4096 },
            ),
            repository: text(
              'a repository without tag or digest',
              '^[a-z0-9._:/\\[\\]-]{1,512}$',
              'Instead of folder: the repository, exactly, from which the seal was pulled with a signature that sealed.signers trusts.',
            ),
            seal: text(
              'sha256: and 64 hex digits',
              '^sha256:[0-9a-f]{64}$',
              'Instead of folder: the seal itself; not what is rebased from it.',
            ),
            rule: {
              type: 'string',
              enum: WAIVABLE_RULES,
              description: 'The rule that it may break, as its path in a policy. Trust cannot be waived.',
            },
            until: text(
              'a date such as 2027-01-31',
              '^\\d{4}-\\d\\d-\\d\\d$',
              'The last day on which it counts, in UTC.',
            ),
            reason: text('a sentence', '\\S', 'Why; shown wherever the waiver is used.', { maxLength: 500 }),
          },
          ['sandbox', 'rule', 'until', 'reason'],
        ),
      },
    },
    ['apiVersion', 'kind'],
  ),
};
