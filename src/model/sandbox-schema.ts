import { BROWSERS } from './base-name.js';
import { FILESYSTEM_RULES } from './bounds.js';
import { LANGUAGES } from './language.js';
import { MOST_DECLARED, NETWORK_MODES } from './network.js';
import { DEFAULT_LOCKFILES, LOWEST_UID, OMITTABLE } from './sandbox.js';
import { baseSchema, list, mapping, quantity, resourceProperties, text } from './schema-parts.js';

const envName = '^[A-Za-z_][A-Za-z0-9_]{0,127}$';

/** JSON Schema (draft-07) of sandbox.yaml (SPEC §3), with our keywords for quantities and for what is not yet. */
export const SANDBOX_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'sandbox.yaml',
  description: 'What a piece of untrusted code is, and how little it may do.',
  ...mapping(
    {
      apiVersion: { const: 'sjs/v1', description: 'Version of this format.' },
      kind: { const: 'Sandbox', description: 'What this file declares.' },
      metadata: mapping(
        {
          name: text(
            'lower-case letters, digits and -, at most 63',
            '^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$',
            'Name: an RFC 1123 label.',
          ),
          version: text(
            'a version such as 1.2.3, without build metadata',
            '^[0-9A-Za-z.-]{1,64}$',
            'Version: semver without build metadata.',
          ),
        },
        ['name'],
        'What it is called.',
      ),
      spec: mapping(
        {
          language: {
            type: 'string',
            enum: LANGUAGES,
            notYetValues: ['wasm'],
            description:
              'The language runtime. Absent: python for an entrypoint in .py, else what the base is called, else node.',
          },
          base: baseSchema,
          browser: {
            type: 'string',
            enum: BROWSERS,
            description:
              'A browser beside Node, at /usr/bin/chromium: the operator’s default base that has one, instead of base.',
          },
          source: text(
            'a relative path inside this folder',
            '^[^\\0]{1,1024}$',
            'File or folder with the code, relative to this file; it lies at /app in the image.',
          ),
          exclude: list(
            { type: 'string', minLength: 1, maxLength: 1024 },
            'What stays out, besides .sjsignore; patterns as in .dockerignore. `!path` includes a file that looks like a secret.',
            { default: [] },
          ),
          inputs: list(
            text('a relative path inside this folder', '^[^\\0]{1,1024}$', 'A file.'),
            'Files, relative to this one, that lie read-only at /in in the image, each under its own name.',
            { default: [], examples: [['data/rates.csv']] },
          ),
          dependencies: mapping(
            {
              lockfile: text(
                'a relative path inside this folder',
                '^[^\\0]{1,1024}$',
                'package-lock.json of version 2 or 3, with package.json beside it; of a Python program requirements.txt, which is the default there, with the hashes of each wheel. Relative to this file.',
                { default: DEFAULT_LOCKFILES.node },
              ),
              omit: list(
                { type: 'string', enum: OMITTABLE },
                'Kinds of dependencies that stay out, as with npm ci --omit.',
                { default: [], examples: [['dev']] },
              ),
            },
            [],
            'Packages of npm, or of Python, each checked against its hash and unpacked without running anything of it; they lie in node_modules, or site-packages, beside the source.',
          ),
          entrypoint: text(
            'a relative path inside the source',
            '^[^\\0]{1,1024}$',
            'The file that is started, relative to the source. Or give a command.',
          ),
          command: {
            type: 'array',
            items: { type: 'string', maxLength: 8192 },
            minItems: 1,
            maxItems: 256,
            description: 'The program and its arguments, instead of an entrypoint.',
          },
          args: {
            type: 'array',
            items: { type: 'string', maxLength: 8192 },
            maxItems: 256,
            default: [],
            description: 'Arguments; those of a run take their place.',
          },
          env: {
            type: 'object',
            propertyNames: { pattern: envName },
            additionalProperties: { type: 'string', maxLength: 16_384 },
            maxProperties: 256,
            default: {},
            description:
              'Environment. At most 32 KiB; names that steer the loader or the runtime are refused.',
          },
          secrets: list(
            text('an environment name', envName, 'Name of a secret.'),
            'Names of secrets; values come with a run.',
            { default: [] },
          ),
          modules: mapping(
            {
              builtins: list(
                { type: 'string', maxLength: 64 },
                'Modules of Node, with or without node:. fs brings fs/promises.',
                { default: [], examples: [['url', 'crypto']] },
              ),
              packages: list(
                { type: 'string', maxLength: 214 },
                'npm packages; what they depend on comes with them.',
                { default: [], examples: [['lodash']] },
              ),
            },
            [],
            'A closed list: beside the files of the source nothing else can be loaded, whichever way it is asked for. Needs Node. A layer, never the boundary.',
          ),
          permissions: mapping(
            Object.fromEntries(
              (
                [
                  ['childProcess', 'Start other programs.'],
                  ['worker', 'Start worker threads.'],
                  ['addons', 'Load native addons.'],
                  ['wasi', 'Use node:wasi.'],
                ] as const
              ).map(([name, description]) => [name, { type: 'boolean', default: false, description }]),
            ),
            [],
            'What Node’s permission model grants, and Deno’s of childProcess and addons. A layer, never the boundary; Bun and Python have none.',
          ),
          user: text(
            `uid:gid, both at least ${LOWEST_UID}`,
            '^[1-9][0-9]{4,9}:[1-9][0-9]{4,9}$',
            'Numeric user and group.',
            { default: '65532:65532' },
          ),
          filesystem: mapping(
            {
              tmp: quantity(FILESYSTEM_RULES.tmp, 'Size of /tmp.', '64Mi'),
              out: quantity(
                FILESYSTEM_RULES.out,
                'Size of /out, whose files are kept with the run; absent, there is no /out.',
              ),
            },
            [],
            'What the program can write to.',
          ),
          network: mapping(
            {
              mode: {
                type: 'string',
                enum: NETWORK_MODES,
                default: 'none',
                description:
                  'none: loopback only. isolated: a network of its own for each run, where nobody is but the declared.',
              },
              ports: list(
                text('[address:]host:container', '^[0-9.:]{3,32}$', 'A published port.'),
                'Ports of the sandbox that are published on 127.0.0.1, or the address given; host port 0 is any free one. Needs isolated, and then resources.timeout must be stated.',
                { default: [], maxItems: MOST_DECLARED, examples: [['3000:3005']] },
              ),
              egress: list(
                text('name:port or name:port=address', '^[^\\s]{3,280}$', 'What may be connected to.'),
                'Names that the program may connect to; all else is blocked. `=address` pins an IPv4 address, and only so may it be a private one. Needs isolated.',
                { default: [], maxItems: MOST_DECLARED, examples: [['api.example.com:443']] },
              ),
            },
            [],
            'The network.',
          ),
          resources: mapping(
            resourceProperties,
            [],
            'Upper bounds of a run, each with an outcome of its own.',
          ),
          runtime: {
            type: 'string',
            enum: ['runc'],
            notYetValues: ['gvisor', 'runsc'],
            default: 'runc',
            description: 'The OCI runtime.',
          },
          determinism: {
            ...mapping(
              {
                clock: text(
                  'a time such as 2024-01-01T00:00:00Z, in UTC',
                  '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]{1,3})?Z$',
                  'When the program believes that it starts; the clock goes on by its own reads and timers alone.',
                ),
                seed: {
                  type: 'integer',
                  minimum: 0,
                  maximum: Number.MAX_SAFE_INTEGER,
                  title: 'a whole number from 0 to 2^53 - 1',
                  description: 'What random numbers come from. Never for programs that make keys.',
                },
              },
              [],
              'What is frozen in a Node program, so that it does the same each time. For honest programs: no boundary.',
            ),
            minProperties: 1,
          },
        },
        ['source'],
        'What it is, and how little it may do.',
      ),
    },
    ['apiVersion', 'kind', 'metadata', 'spec'],
  ),
};
