import type { VerifiedBase } from '../../model/base.js';
import { callRunner, RUNTIME_ENV, startsRuntime } from '../../model/language.js';
import { formatReference } from '../../model/reference.js';
import { SECRETS_PRELOAD } from '../../model/own-files.js';
import {
  GATEWAY_NAME,
  isReservedEnv,
  TMPFS_INODES,
  type Resources,
  type Sandbox,
} from '../../model/sandbox.js';
import { encodeLabels } from '../../model/sealed-labels.js';
import type { SealedPlan } from '../../model/run-plan.js';
import { FORMAT_VERSION, type SealedLabels } from '../../model/sealed-image.js';
import type { Digest } from '../../model/digest.js';
import type { RuntimeConfig } from '../../model/runtime-config.js';
import { fillTemplate } from './fill-template.js';
import { programCommand } from './program-command.js';
import { quoteJson, quoteWord } from './quote.js';

/** What a sandbox becomes over a verified base. */
export interface RenderedImage {
  readonly dockerfile: string;
  readonly labels: SealedLabels;
  /** The runtime config that the built image must have; what inspect shows is compared with it. */
  readonly expectedConfig: RuntimeConfig;
  /** Whether the secrets preload belongs into the image. */
  readonly needsSecretsPreload: boolean;
  /** Whether what calls functions belongs into the image. */
  readonly needsCallRunner: boolean;
  /** Whether /out belongs into the image. */
  readonly needsOut: boolean;
}

/**
 * Renders the Dockerfile and the config that must come of it. Environment that the base sets and that steers the
 * loader or the runtime is emptied; its health check and stop signal are replaced.
 * @param packages digest of the list of packages that have a layer of their own; null without any
 * @param rebasedFrom the seal that is put over another base; null for what is built from source
 * @param callable whether what calls functions lies in the image: in one that is rebased only if it did before
 * @throws SjsError `TEMPLATE_VALUE`, `TEMPLATE_INVALID`, `SANDBOX_INVALID`.
 */
export function renderDockerfile(
  template: string,
  sandbox: Sandbox,
  base: VerifiedBase,
  resources: Resources,
  seccompDigest: Digest,
  packages: Digest | null = null,
  rebasedFrom: Digest | null = null,
  callable = isCallable(sandbox),
): RenderedImage {
  const plan = planOf(sandbox, resources, seccompDigest, callable);
  const labels: SealedLabels = {
    formatVersion: FORMAT_VERSION,
    name: sandbox.name,
    version: sandbox.version,
    baseDigest: base.manifestDigest,
    baseVersion: base.signedVersion,
    plan,
    packages,
    rebasedFrom,
  };
  const env = mergeEnv(base.config.Env ?? [], { ...RUNTIME_ENV[sandbox.language], ...sandbox.env });
  const encoded = encodeLabels(labels);
  const user = `${sandbox.user.uid}:${sandbox.user.gid}`;
  const entrypoint = programCommand(sandbox, resources.memoryBytes, base.signedVersion);
  const dockerfile = fillTemplate(template, {
    base: formatReference({ ...base.repository, digest: base.manifestDigest }),
    packages: packages === null ? [] : ['--chown=0:0 packages/ /'],
    env: Object.entries(env.set).map(([name, value]) => `${name}=${quoteWord(value)}`),
    labels: Object.entries(encoded).map(([name, value]) => `${name}=${quoteWord(value)}`),
    user,
    entrypoint: quoteJson(entrypoint),
    cmd: quoteJson(sandbox.args),
  });
  return {
    dockerfile,
    labels,
    expectedConfig: {
      User: user,
      Env: env.all,
      Entrypoint: entrypoint,
      ...(sandbox.args.length > 0 && { Cmd: sandbox.args }),
      WorkingDir: '/app',
      Labels: { ...base.config.Labels, ...encoded },
      ...(base.config.ExposedPorts && { ExposedPorts: base.config.ExposedPorts }),
      ...(base.config.Shell && { Shell: base.config.Shell }),
      Healthcheck: { Test: ['NONE'] },
      StopSignal: 'SIGTERM',
      // BuildKit sets it for every ENTRYPOINT in JSON form.
      ArgsEscaped: true,
    },
    needsSecretsPreload: entrypoint.includes(`--require=${SECRETS_PRELOAD}`),
    needsCallRunner: plan.call !== undefined || plan.code !== undefined,
    needsOut: sandbox.filesystem.outBytes !== null,
  };
}

/** The rights that a sandbox declares, every default resolved. */
export function planOf(
  sandbox: Sandbox,
  resources: Resources,
  seccompDigest: Digest,
  callable = isCallable(sandbox),
): SealedPlan {
  return {
    secrets: sandbox.secrets,
    permissions: sandbox.permissions,
    resources,
    filesystem: { ...sandbox.filesystem, tmpInodes: TMPFS_INODES, outInodes: TMPFS_INODES },
    network: sandbox.network,
    runtime: sandbox.runtime,
    seccompDigest,
    ...(sandbox.determinism && { determinism: sandbox.determinism }),
    ...(sandbox.modules && { modules: sandbox.modules }),
    ...(sandbox.language !== 'node' && { language: sandbox.language }),
    ...(takesCode(sandbox) ? { code: 1 } : callable && { call: 1 }),
  };
}

/** Whether a program's functions can be called: of one that a runtime starts, and of no gateway. */
const isCallable = ({ language, command, name }: Sandbox): boolean =>
  startsRuntime(language, command) && command.length > 1 && name !== GATEWAY_NAME;

/** Whether the program is sjs's own runner, which has no other program then: it runs the code that comes with each run. */
const takesCode = ({ language, command }: Sandbox): boolean =>
  startsRuntime(language, command) && command.length === 2 && command[1] === callRunner(language);

/** What the image sets over the base, and the whole environment in the order the builder leaves it in. */
function mergeEnv(base: readonly string[], own: Readonly<Record<string, string>>) {
  const inherited = new Map(
    base.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  const emptied = [...inherited.keys()].filter(
    (name) => isReservedEnv(name) && name !== 'PATH' && name !== 'HOME',
  );
  const set = { ...Object.fromEntries(emptied.map((name) => [name, ''])), HOME: '/tmp', ...own };
  const all = new Map([...inherited, ...Object.entries(set)]);
  return { set, all: [...all].map(([name, value]) => `${name}=${value}`) };
}
