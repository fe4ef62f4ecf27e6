import fc from 'fast-check';
import { visibleText } from './property.js';

/** What YAML is made of, and what breaks readers of it. */
export const YAML_TOKENS = [
  ...[
    ': ',
    '- ',
    '? ',
    ', ',
    '\n',
    '\n  ',
    '\r\n',
    '\t',
    '{',
    '}',
    '[',
    ']',
    '|\n',
    '>-\n',
    '&a ',
    '*a',
    '!t ',
    '!!js ',
  ],
  ...[
    '---\n',
    '...\n',
    '%YAML 1.2\n',
    '<<: ',
    '# ',
    '"',
    "'",
    '\\',
    '@',
    '`',
    '~',
    'null',
    '.nan',
    '0x1F',
    '1e999',
    '__proto__',
  ],
  ...[
    'spec:',
    'metadata:',
    'env:',
    'base:',
    'bases:',
    'verify:',
    'limits:',
    'x-a:',
    '\ufeff',
    '\u2028',
    '\u0000',
  ],
];

/** The value as YAML in blocks, with texts and keys as JSON writes them. */
export function writeYaml(value: unknown): string {
  return `${write(value, '')}\n`.replace(/^\n/, '');
}

function write(value: unknown, indent: string): string {
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  if (typeof value !== 'object' || value === null || isEmpty)
    return indent === '' ? scalar(value) : ` ${scalar(value)}`;
  const deeper = `${indent}  `;
  return Object.entries(value)
    .map(
      ([key, item]) => `\n${indent}${Array.isArray(value) ? '-' : `${plainKey(key)}:`}${write(item, deeper)}`,
    )
    .join('');
}

function scalar(value: unknown): string {
  if (value === Infinity) return '1e999';
  if (value === -Infinity) return '-1e999';
  return JSON.stringify(value);
}

const plainKey = (key: string): string =>
  /^[a-z]{3,}$/i.test(key) && key !== 'null' && key !== 'true' ? key : JSON.stringify(key);

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const name = fc.stringMatching(/^[a-z0-9](?:[-a-z0-9]{0,8}[a-z0-9])?$/);
const envName = fc.oneof(
  fc.stringMatching(/^[A-Z][A-Z0-9_]{0,6}$/),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'a'),
);
const size = fc.integer({ min: 8, max: 900 }).map((count) => `${count}Mi`);
const path = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,5}(?:\.js)?$/), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}` as const);
const resources = fc.record(
  {
    cpu: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constantFrom('500m', '1.5', 0.25)),
    memory: size,
    pids: fc.integer({ min: 1, max: 512 }),
    files: fc.integer({ min: 16, max: 4096 }),
    timeout: fc.constantFrom('500ms', '10s', '1m30s', '1h'),
    output: fc.oneof(size, fc.integer({ min: 1, max: 1_000_000 })),
  },
  { requiredKeys: [] },
);
const base = fc.oneof(
  fc.record({
    image: fc.constantFrom('registry.example.com/base/node', 'node', 'localhost:5000/a/b'),
    version: fc.constantFrom('>=24.2 <25', '^22', '1.2.3'),
  }),
  fc.record({ image: fc.constantFrom('r.example/x'), digest }),
);

/** Objects without the keys whose value is undefined. */
const defined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;

const isReserved = (key: string): boolean =>
  /^(?:PATH|HOME|HOSTNAME|IFS|ENV|LD_|DYLD_|NODE_|UV_|SJS_|MALLOC_|OPENSSL_)/i.test(key);

/** A valid sandbox.yaml, as a value. */
export const sandboxFile = fc
  .record({
    version: optional(fc.constantFrom('1.0.0', '0.1.0-rc.1')),
    name,
    base: optional(base),
    source: path,
    exclude: optional(
      fc.uniqueArray(
        visibleText.filter((text) => text !== ''),
        { maxLength: 2 },
      ),
    ),
    entrypoint: path,
    command: optional(fc.tuple(fc.constantFrom('/bin/tool', 'x'), visibleText)),
    args: optional(fc.array(visibleText, { maxLength: 3 })),
    env: optional(
      fc
        .array(
          fc.tuple(
            envName.filter((key) => !isReserved(key)),
            visibleText,
          ),
          { maxLength: 3 },
        )
        .map((entries) => Object.fromEntries(entries) as Record<string, string>),
    ),
    permissions: optional(fc.record({ worker: fc.boolean(), wasi: fc.boolean() }, { requiredKeys: [] })),
    user: optional(fc.constant('65532:10001')),
    filesystem: optional(fc.record({ tmp: size, out: size }, { requiredKeys: [] })),
    resources: optional(resources),
    free: optional(visibleText),
  })
  .map(({ name, version, entrypoint, command, free, ...rest }) => ({
    apiVersion: 'sjs/v1',
    kind: 'Sandbox',
    metadata: defined({ name, version, 'x-note': free }),
    spec: defined({ language: 'node', ...rest, ...(command ? { command } : { entrypoint }) }),
  }));

const publicKey =
  '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAA\n-----END PUBLIC KEY-----\n';

/** A valid policy of an operator, as a value. */
export const policyFile = fc
  .record({
    extends: optional(fc.constantFrom('restricted', 'networked')),
    defaults: optional(fc.record({ base, resources }, { requiredKeys: [] })),
    bases: optional(
      fc.array(
        fc.record(
          {
            repository: fc.constantFrom('r.example/**', 'r.example/*/node'),
            mirrors: fc.constant(['m.example/**']),
            allowSetuidFiles: fc.boolean(),
            verify: fc.record(
              {
                keys: fc.array(
                  fc.record(
                    {
                      publicKey: fc.constant(publicKey),
                      notBefore: fc.constantFrom('2024-01-01T00:00:00Z', '2024-02-29T23:59:59Z'),
                      notAfter: fc.constant('2030-01-01T00:00:00Z'),
                    },
                    { requiredKeys: ['publicKey'] },
                  ),
                  { minLength: 1, maxLength: 2 },
                ),
                annotations: fc.dictionary(fc.constantFrom('team', 'toString', 'constructor'), visibleText),
                transparencyLog: fc.constantFrom('required', 'none'),
              },
              { requiredKeys: ['keys'] },
            ),
          },
          { requiredKeys: ['repository', 'verify'] },
        ),
        { maxLength: 2 },
      ),
    ),
    deny: optional(fc.record({ digests: fc.uniqueArray(digest, { maxLength: 2 }) })),
    limits: optional(
      fc.record({ memory: size, out: fc.constantFrom(0, '1Mi'), source: size }, { requiredKeys: [] }),
    ),
    allow: optional(
      fc.record(
        { permissions: fc.constant(['worker']), secrets: fc.constant(['A_*']) },
        { requiredKeys: [] },
      ),
    ),
    floors: optional(fc.record({ engine: fc.constantFrom('26', '28.0.1') })),
    retention: optional(fc.record({ age: fc.constantFrom('1h', '720h'), size }, { requiredKeys: [] })),
  })
  .map((rest) => defined({ apiVersion: 'sjs/v1', kind: 'Policy', ...rest }));

/** Digests that policies deny and sandboxes pin, few enough to meet. */
const FEW_DIGESTS = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`);
const FEW_HOSTS = ['api.test:443', 'db.test:5432=10.0.0.7', 'db.test:5432=8.8.8.8', 'web.test:80'];
const FEW_PORTS = ['3000:3005', '127.0.0.1:8080:80', '0.0.0.0:9000:90'];
const FEW_REPOSITORIES = ['r.example/a/node', 'r.example/b/node', 'other.example/node'];

const some = <T>(...values: readonly T[]) => fc.subarray([...values]);

const fewSigners = fc.array(
  fc.record(
    {
      repository: fc.constantFrom('**', 'r.example/**', 'r.example/a/*', ...FEW_REPOSITORIES),
      mirrors: fc.constantFrom(['other.example/*'], ['m.example/**']),
      verify: fc.record(
        {
          keys: fc.constant([{ publicKey }]),
          attestations: some('slsaprovenance1', 'cyclonedx', 'spdxjson'),
          transparencyLog: fc.constantFrom('required', 'none'),
        },
        { requiredKeys: ['keys'] },
      ),
    },
    { requiredKeys: ['repository', 'verify'] },
  ),
  { maxLength: 2 },
);

/** Values with some of their keys only: most of what is generated says little, so that not all of it is refused. */
const sparse = <T extends object>(value: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.tuple(value, fc.infiniteStream(fc.nat({ max: 2 }))).map(([full, dice]) => {
    const kept = Object.entries(full).filter(() => dice.next().value === 0);
    return Object.fromEntries(kept) as T;
  });

/** Rules of a policy that meet what {@link greedySandbox} asks for; any layer may have them. */
export const policyRules = sparse(
  fc.record(
    {
      bases: fewSigners,
      sealed: fc.record(
        {
          signers: fewSigners,
          attestations: some('slsaprovenance1', 'cyclonedx', 'spdxjson'),
          requireSigned: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
      deny: fc.record({ digests: some(...FEW_DIGESTS) }),
      limits: fc.record(
        {
          memory: size,
          pids: fc.integer({ min: 1, max: 512 }),
          timeout: fc.constantFrom('500ms', '10s', '1h'),
          tmp: size,
          out: fc.constantFrom(0, '1Mi', '1Gi'),
          source: size,
        },
        { requiredKeys: [] },
      ),
      allow: fc.record(
        {
          network: some('none', 'isolated'),
          egress: some('*', '*.test:443', '*=10.*', '*=8.*', ...FEW_HOSTS),
          ports: some('*', '127.0.0.1:*', '0.0.0.0:*'),
          runtimes: some('runc'),
          permissions: some('childProcess', 'worker', 'addons', 'wasi'),
          secrets: some('A*', '*_B', 'TOKEN'),
        },
        { requiredKeys: [] },
      ),
      floors: fc.record(
        {
          engine: fc.constantFrom('26', '29'),
          runc: fc.constant('1.2'),
          cosign: fc.constantFrom('2.5', '3'),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  ),
);

/** What an operator may say besides {@link policyRules}; half of them trust every base. */
export const operatorRules = fc.record(
  {
    bases: fc.constant([{ repository: '**', verify: { keys: [{ publicKey }] } }]),
    extends: fc.constantFrom('restricted', 'networked', 'browser'),
    defaults: fc.record(
      { base: fc.constant({ image: FEW_REPOSITORIES[0], version: '>=24' }), resources },
      { requiredKeys: [] },
    ),
    waivers: fc.array(
      fc.record({
        sandbox: fc.constantFrom('job', 'j*', 'other'),
        folder: fc.constantFrom('/r', '/elsewhere'),
        rule: fc.constantFrom(
          'limits.memory',
          'limits.source',
          'allow.network',
          'allow.egress',
          'allow.permissions',
          'deny.digests',
          'floors.engine',
        ),
        until: fc.constantFrom('2026-01-01', '2027-01-01'),
        reason: fc.constant('because'),
      }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

/** A sandbox.yaml that asks for what policies often refuse. */
export const greedySandbox = fc
  .record({
    name: fc.constantFrom('job', 'other', 'third'),
    base: optional(
      fc.oneof(
        fc.record({ image: fc.constantFrom(...FEW_REPOSITORIES), digest: fc.constantFrom(...FEW_DIGESTS) }),
        fc.record({ image: fc.constantFrom(...FEW_REPOSITORIES), version: fc.constant('>=24') }),
      ),
    ),
    secrets: optional(some('ANY', 'X_B', 'TOKEN')),
    permissions: optional(
      fc.record({ worker: fc.boolean(), addons: fc.boolean(), wasi: fc.boolean() }, { requiredKeys: [] }),
    ),
    filesystem: optional(fc.record({ tmp: size, out: size }, { requiredKeys: [] })),
    network: optional(
      fc.record({ mode: fc.constant('isolated'), egress: some(...FEW_HOSTS), ports: some(...FEW_PORTS) }),
    ),
    resources: optional(resources),
  })
  .chain(({ name: named, ...asked }) =>
    sparse(fc.constant(defined(asked))).map((spec) => ({
      apiVersion: 'sjs/v1',
      kind: 'Sandbox',
      metadata: { name: named },
      spec: {
        language: 'node',
        source: '.',
        entrypoint: 'index.js',
        ...spec,
        ...(spec.network && { resources: { timeout: '1m', ...spec.resources } }),
      },
    })),
  );
