import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import {
  explainFailedCommand,
  explainFailedVerify,
  explainNoAnswer,
} from '../../src/adapters/cosign/cosign-errors.js';
import { detectVersion } from '../../src/adapters/cosign/cosign-version.js';
import { readPayloads } from '../../src/adapters/cosign/read-payloads.js';
import { describeImage, describeListed } from '../../src/adapters/docker/docker-image-store.js';
import { toEngineError } from '../../src/adapters/docker/engine-error.js';
import { groupRemains } from '../../src/adapters/docker/find-runs.js';
import { isSigkill } from '../../src/adapters/docker/kill-events.js';
import { decideEnd, engineDuration, readState, toOutcome } from '../../src/adapters/docker/outcome.js';
import { outName, ownerLabels, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { readFacts } from '../../src/adapters/docker/probe.js';
import { readSample } from '../../src/adapters/docker/usage.js';
import { sha256 } from '../../src/model/digest.js';
import type { BaseRule } from '../../src/model/policy.js';
import { computeSeal } from '../../src/model/sealed-image.js';
import { decodeLabels } from '../../src/model/sealed-labels.js';
import { readConfig } from '../../src/stages/resolve/read-config.js';
import { readManifest } from '../../src/stages/resolve/read-manifest.js';
import { checkPayload } from '../../src/stages/verify/check-payload.js';
import {
  anyJson,
  anyText,
  asRefusal,
  attempt,
  attemptAsync,
  check,
  DEADLINE_MS,
  mutated,
  mutatedText,
  toJson,
} from '../support/property.js';
import { makeId } from '../support/records.js';
import { makeBase } from '../support/sandbox.js';

const base = makeBase();
const reference = { ...base.repository, digest: base.digest };
const NAME = `${base.repository.registry}/${base.repository.path}`;
const JSON_TOKENS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  'null',
  '1e999',
  '-0',
  '\\ud800',
  '"__proto__":',
  '[['.repeat(3000),
  '\n',
  '{}',
];

/** JSON text near to the given value's, or nothing like it. */
const near = (value: unknown): fc.Arbitrary<string> =>
  fc.oneof(
    mutated(fc.constant(value)).map(toJson),
    mutatedText(fc.constant(toJson(value)), JSON_TOKENS),
    anyJson.map(toJson),
    anyText,
  );
/** The value itself with something else in it, or anything. */
const nearValue = (value: unknown): fc.Arbitrary<unknown> =>
  fc
    .oneof(mutated(fc.constant(value)), anyJson, fc.constant(undefined))
    .map((one) => (one === undefined ? one : (JSON.parse(toJson(one)) as unknown)));
const result = (fields: object) =>
  ({
    exitCode: 1,
    stdout: '',
    stderr: '',
    missing: false,
    timedOut: false,
    tooMuchOutput: false,
    ...fields,
  }) as Parameters<typeof explainFailedVerify>[0];

const payload = {
  critical: {
    type: 'cosign container image signature',
    identity: { 'docker-reference': NAME },
    image: { 'docker-manifest-digest': base.digest },
  },
  optional: { version: '24.1.0', repository: NAME, team: 'x' },
};

test(
  'whatever cosign prints are signatures of the digest that was asked about, each judged, or a refusal',
  () => {
    const rules = fc.dictionary(fc.constantFrom('team', 'toString', 'constructor', '__proto__'), anyText, {
      maxKeys: 2,
    });
    return check(
      fc.property(fc.oneof(near([payload]), near([payload, payload])), rules, (stdout, annotations) => {
        const found = attempt(() => readPayloads(stdout, reference));
        if (found instanceof SjsError) {
          assert.match(found.code, /^(COSIGN_INVALID_ANSWER|BASE_UNVERIFIED)$/);
          return;
        }
        assert.ok(found.length > 0);
        const rule: BaseRule = {
          repository: '**',
          mirrors: [],
          keys: [],
          keyless: null,
          trustedRoot: null,
          annotations,
          attestations: [],
          transparencyLog: 'none',
          allowSetuidFiles: false,
          location: { file: '/p' },
        };
        for (const one of found) {
          assert.equal(one.digest, base.digest);
          assert.deepEqual(
            Object.values(one.annotations).filter((text) => typeof text !== 'string'),
            [],
          );
          const why = checkPayload(one, rule, base);
          if (why === null) {
            assert.equal(one.annotations['version'], '24.1.0');
            for (const [key, text] of Object.entries(annotations))
              assert.equal(new Map(Object.entries(one.annotations)).get(key), text);
          } else asRefusal(why);
        }
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'however cosign fails, it is a refusal with a code, and its words are clean',
  () => {
    const words = mutatedText(
      fc.constantFrom(
        'Error: no matching signatures',
        'main.go:1\nError: dial tcp: connection refused',
        'Error: invalid or missing digest in claim',
        'Error: getting Rekor public keys: tuf',
      ),
      ['\n', 'Error: ', '\u001b[2J', '\u202e', 'EOF', 'DENIED', 'status code 500'],
    );
    const flags = fc.record({ missing: fc.boolean(), timedOut: fc.boolean(), tooMuchOutput: fc.boolean() });
    return check(
      fc.property(
        words,
        fc.oneof(fc.constantFrom(0, 1, 10, 11, 12, 13), fc.integer()),
        flags,
        (stderr, exitCode, ended) => {
          const failures = [
            explainFailedVerify(result({ stderr, exitCode }), {
              reference,
              signer: { publicKey: '' },
              trustedRoot: null,
              transparencyLog: 'none',
            }),
            explainFailedCommand(result({ stderr, exitCode }), 'no'),
            explainNoAnswer(result(ended), 1000, 1024),
          ];
          assert.equal(failures[2] === null, !Object.values(ended).includes(true));
          for (const failure of failures) {
            if (failure === null) continue;
            asRefusal(failure);
            assert.doesNotMatch(
              typeof failure.cause === 'string' ? failure.cause : '',
              /[\p{Cc}\p{Cs}\u202e]/u,
            );
          }
        },
      ),
    );
  },
  DEADLINE_MS,
);

test(
  'whatever cosign says of its version is one that sjs knows, or a refusal',
  () =>
    check(
      fc.asyncProperty(
        fc.oneof(
          near({ gitVersion: 'v2.5.0' }),
          fc
            .stringMatching(/^v?[0-9]\.[0-9]{1,2}\.[0-9](-rc\.1)?$/)
            .map((gitVersion) => toJson({ gitVersion })),
        ),
        fc.constantFrom(0, 1),
        async (stdout, exitCode) => {
          const version = await attemptAsync(() =>
            detectVersion(
              (args) => Promise.resolve(result({ stdout: args[0] === 'version' ? stdout : '', exitCode })),
              '',
            ),
          );
          if (version instanceof SjsError)
            assert.match(version.code, /^COSIGN_(UNSUPPORTED|INVALID_ANSWER)$/);
          else assert.match(version, /^(2\.([5-9]|[1-9][0-9])|3\.[0-9]+)\.[0-9]+/);
        },
      ),
    ),
  DEADLINE_MS,
);

const image = {
  Id: sha256('image'),
  Os: 'linux',
  Architecture: 'amd64',
  RootFS: { Type: 'layers', Layers: [sha256('a')] },
  RepoTags: ['sjs/job:1'],
  Size: 7,
  Config: {
    User: '65532:65532',
    Env: ['PATH=/bin'],
    Entrypoint: ['node'],
    Labels: {
      'dev.sjs.format': '1',
      'dev.sjs.name': 'job',
      'dev.sjs.base.digest': sha256('b'),
      'dev.sjs.plan': '{}',
    },
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: { Test: ['NONE'] },
    ArgsEscaped: true,
  },
};

test(
  'whatever inspect says is an image that can be sealed, or ENGINE_FAILED',
  () =>
    check(
      fc.property(nearValue(image), nearValue([image]), (answer, list) => {
        const facts = attempt(() => describeImage(answer));
        if (facts instanceof SjsError) assert.equal(facts.code, 'ENGINE_FAILED');
        else {
          assert.match(computeSeal(facts), /^sha256:[0-9a-f]{64}$/);
          const labels = attempt(() => decodeLabels(facts.config.Labels ?? {}));
          assert.equal(labels instanceof SjsError && labels.code, 'SEAL_REFUSED');
        }
        for (const { imageId, tags, sizeBytes } of describeListed(list))
          assert.deepEqual(
            [imageId, typeof sizeBytes, ...tags].filter((one) => typeof one !== 'string'),
            [],
          );
      }),
    ),
  DEADLINE_MS,
);

const version = { Version: '28.0.0', KernelVersion: '6.1', Components: [{ Name: 'runc', Version: '1.2.0' }] };
const info = {
  OSType: 'linux',
  ...{ MemoryLimit: true, SwapLimit: true, PidsLimit: true, CpuCfsPeriod: true, CpuCfsQuota: true },
  CgroupVersion: '2',
  SecurityOptions: ['name=seccomp,profile=builtin'],
  Runtimes: { runc: {} },
  Plugins: { Log: ['local'], Volume: ['local'] },
};

test(
  'whatever the engine says of itself are facts, and a control counts as there only when it says so',
  () =>
    check(
      fc.property(nearValue(version), nearValue(info), (one, other) => {
        const facts = readFacts(one, other);
        const texts = [
          facts.name,
          facts.version,
          facts.runtimeVersion ?? '',
          facts.kernel ?? '',
          ...facts.warnings,
        ];
        assert.deepEqual(
          texts.filter((text) => typeof text !== 'string' || /[\p{Cc}\p{Cs}\u202e]/u.test(text)),
          [],
        );
        const isThere = (other as typeof info | null | undefined)?.MemoryLimit === true;
        assert.equal(
          facts.missingControls.some(({ control }) => control === 'memory-limit'),
          !isThere,
        );
      }),
    ),
  DEADLINE_MS,
);

const State = {
  Status: 'exited',
  Running: false,
  OOMKilled: false,
  ExitCode: 137,
  StartedAt: '2026-01-01T00:00:00.1Z',
  FinishedAt: '2026-01-01T00:00:01Z',
};
const sample = { cpu_stats: { cpu_usage: { total_usage: 1e9 } }, memory_stats: { usage: 10, max_usage: 20 } };
const event = { Action: 'kill', Actor: { Attributes: { signal: '9' } } };

test(
  'whatever the engine says of the end of a run is an outcome that a record can hold, or ENGINE_FAILED',
  () =>
    check(
      fc.property(
        nearValue({ State }),
        near(sample),
        near(event),
        fc.constantFrom(null, 'timed-out', 'interrupted'),
        (answer, line, log, reason) => {
          const usage = readSample(line, null);
          for (const number of Object.values(usage ?? {})) assert.ok(Number.isFinite(number) && number >= 0);
          const state = attempt(() => readState(answer));
          if (state instanceof SjsError) {
            assert.equal(state.code, 'ENGINE_FAILED');
            return;
          }
          const end = decideEnd(state, { reason, didReach: true }, isSigkill(log));
          const outcome = toOutcome(state, end, {
            durationMs: engineDuration(state),
            truncated: { stdout: false, stderr: false },
            usage,
          });
          assert.ok(outcome.durationMs >= 0, `${outcome.durationMs} ms`);
          assert.deepEqual(JSON.parse(JSON.stringify(outcome)), outcome);
        },
      ),
    ),
  DEADLINE_MS,
);

const owner = { bootId: 'b', pid: 7, startTime: '9', home: '/h' };
const labels = ownerLabels(makeId(7), owner);
const containers = [
  { Id: 'c1', Names: [`/${sandboxName(makeId(7))}`], State: 'running', Labels: labels },
  { Id: 'c2', Names: null, State: 'created', Labels: labels },
];

test(
  'whatever the engine lists, only what carries the whole of an owner is taken for a run',
  () =>
    check(
      fc.property(
        nearValue(containers),
        nearValue([{ Name: outName(makeId(7)), Labels: labels }]),
        (list, volumes) => {
          for (const run of groupRemains(list, volumes, volumes)) {
            assert.deepEqual(
              [
                run.runId,
                run.owner.bootId,
                run.owner.startTime,
                run.owner.home,
                ...run.others,
                ...run.volumes,
              ].filter((one) => typeof one !== 'string'),
              [],
            );
            assert.ok(Number.isSafeInteger(run.owner.pid));
            assert.ok(run.hasSandbox || run.others.length > 0 || run.volumes.length > 0);
          }
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'whatever a call fails with is an error of the engine',
  () =>
    check(
      fc.property(
        fc.oneof(
          anyJson,
          nearValue({ statusCode: 409, json: { message: 'x' }, code: 'ECONNREFUSED', message: 'y' }),
          anyText.map((text) => new Error(text)),
        ),
        (failure) => {
          const error = toEngineError('do it', failure, { kind: 'unix', socketPath: '/x' });
          assert.match(asRefusal(error).code, /^ENGINE_(FAILED|UNREACHABLE)$/);
        },
      ),
    ),
  DEADLINE_MS,
);

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const manifest = {
  schemaVersion: 2,
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('c'), size: 2 },
  layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: sha256('l'), size: 3 }],
};
const index = {
  schemaVersion: 2,
  manifests: [{ mediaType: MANIFEST, digest: sha256('m'), platform: { os: 'linux', architecture: 'amd64' } }],
};
const config = {
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [sha256('d')] },
  config: image.Config,
};

test(
  'whatever a registry sends is a manifest, an index or a config without surprises, or a refusal',
  () =>
    check(
      fc.property(
        fc.oneof(near(manifest), near(index)),
        fc.constantFrom(MANIFEST, INDEX),
        near(config),
        (text, mediaType, configText) => {
          const found = attempt(() =>
            readManifest({ bytes: Buffer.from(text), mediaType, digest: sha256(text) }, NAME),
          );
          if (found instanceof SjsError) assert.equal(found.code, 'BASE_MANIFEST_INVALID');
          else if (found.kind === 'manifest')
            assert.ok(Number.isSafeInteger(found.compressedBytes) && found.layers > 0);
          const read = attempt(() => readConfig(Buffer.from(configText), 1, NAME));
          if (read instanceof SjsError) assert.match(read.code, /^BASE_(MANIFEST_INVALID|CONFIG_REFUSED)$/);
          else assert.match(computeSeal(read), /^sha256:/);
        },
      ),
    ),
  DEADLINE_MS,
);
