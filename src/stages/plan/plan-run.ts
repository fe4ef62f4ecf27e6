import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { sha256 } from '../../model/digest.js';
import { needsGateway } from '../../model/network.js';
import { needsNode, type GatewayImage, type RunPlan, type RunRequest } from '../../model/run-plan.js';
import { hasUnprintable, isEnvName, isReservedEnv } from '../../model/sandbox.js';
import { splitEnv } from '../../model/sealed-env.js';
import type { SealedImage } from '../../model/sealed-image.js';
import { callCommand } from '../../model/split-command.js';
import { tightenResources } from './tighten-resources.js';

/**
 * Decides one run: the sealed rights, tightened where asked, and nothing that was not declared.
 * @param gateway the sealed gateway, for a sandbox that needs its image; else null
 * @param seccompProfile text of the profile this sjs applies; its digest must be the sealed one
 * @throws SjsError `RIGHTS_WIDENED`, `USAGE` for less than any sandbox can have, `SECRET_MISSING`, `SECRET_UNDECLARED`,
 * `ENV_REFUSED`, `SEAL_PROFILE_MISMATCH`, `NOT_CALLABLE`.
 */
export function planRun(
  sealed: SealedImage,
  request: RunRequest,
  seccompProfile: string,
  gateway: SealedImage | null = null,
): RunPlan {
  const { labels, image, entry } = sealed;
  const { plan } = labels;
  if (sha256(seccompProfile) !== plan.seccompDigest) {
    throw new SjsError(
      'SEAL_PROFILE_MISMATCH',
      `${entry.tag} was sealed with another seccomp profile (${plan.seccompDigest}) than this sjs has`,
      {
        next: 'use the sjs that sealed it, or build it again',
      },
    );
  }
  checkEnv(request.env, plan.secrets);
  checkSecrets(plan.secrets, request.secrets);
  const config = image.config;
  const environment = splitEnv(config.Env ?? []);
  return {
    seal: entry.seal,
    imageId: image.imageId,
    isImported: entry.imported !== undefined,
    user: config.User ?? '',
    ...commandOf(sealed, request),
    workingDirectory: config.WorkingDir ?? '/',
    env: { ...environment.set, ...request.env },
    unsetEnv: environment.unset,
    secrets: request.secrets,
    expectsSecrets: plan.secrets.length > 0,
    resources: tightenResources(plan.resources, request.limits),
    filesystem: plan.filesystem,
    network: plan.network,
    gateway: needsGateway(plan.network) ? gatewayOf(gateway) : null,
    ...(needsNode(plan) && { nodeImageId: gatewayOf(gateway).imageId }),
    runtime: plan.runtime,
    seccompProfile,
  } as RunPlan;
}

/**
 * The plan of a container that is started ahead of the calls and runs of this image: all of a run but what to do.
 * @param preload whether the program is loaded before there is anything to do
 * @throws SjsError as {@link planRun}; `POOL_REFUSED` for what must be made for each run
 */
export function planMember(
  sealed: SealedImage,
  seccompProfile: string,
  preload: boolean,
  limits: RunRequest['limits'],
): RunPlan {
  const { secrets, network, filesystem } = sealed.labels.plan;
  const refused = network.mode !== 'none' ? 'a network' : filesystem.outBytes !== null ? '/out' : null;
  if (refused !== null) {
    throw new SjsError(
      'POOL_REFUSED',
      `${sealed.entry.tag} declares ${refused}, which each run has for itself`,
      {
        next: 'call it without a pool',
      },
    );
  }
  // Whatever they are: a plan needs one for each, and the values come with the run.
  const given = Object.fromEntries(secrets.map((name) => [name, '']));
  const takesCode = sealed.labels.plan.code !== undefined;
  const request = {
    args: null,
    env: {},
    secrets: given,
    limits,
    ...(!takesCode && { call: { export: 'default' } }),
  };
  const plan = planRun(sealed, request, seccompProfile);
  return { ...plan, secrets: {}, args: takesCode ? [] : [preload ? 'preload' : 'ahead'] };
}

/** Whether a run can have a container that was started ahead: one that asks for nothing that was given at the start. */
export function fitsMember(plan: RunPlan, member: RunPlan): boolean {
  const { timeoutMs, outputBytes, ...fixed } = plan.resources;
  void [timeoutMs, outputBytes];
  const isSame = (Object.keys(fixed) as (keyof typeof fixed)[]).every(
    (key) => fixed[key] === member.resources[key],
  );
  return isSame && canonicalJson(plan.env) === canonicalJson(member.env);
}

/** What is started: the program, or what calls one of its functions. The flags that the runtime got stay as they are. */
function commandOf(
  { image: { config }, labels, entry }: SealedImage,
  { args, call }: RunRequest,
): Pick<RunPlan, 'command' | 'args'> {
  const command = config.Entrypoint ?? [];
  if (call === undefined) return { command, args: args ?? config.Cmd ?? [] };
  const calling = labels.plan.call && callCommand(command, labels.plan.language);
  if (!calling) {
    throw new SjsError('NOT_CALLABLE', `${entry.tag} has nothing in it that calls its functions`, {
      next: 'functions of programs that a runtime starts can be called; one that an older sjs sealed is built again with sjs build',
    });
  }
  return { command: calling, args: [] };
}

function gatewayOf(gateway: SealedImage | null): GatewayImage {
  if (gateway === null) throw new SjsError('INTERNAL', 'the run was planned without its gateway');
  const { entry, image } = gateway;
  const { User: user = '', Entrypoint: command = [] } = image.config;
  return { seal: entry.seal, imageId: image.imageId, user, command };
}

function checkEnv(env: Readonly<Record<string, string>>, secrets: readonly string[]): void {
  for (const [name, value] of Object.entries(env)) {
    if (secrets.includes(name)) {
      // The record and the engine would have it in plain text.
      throw new SjsError('ENV_REFUSED', `${name} is a declared secret, and no plain variable`, {
        next: `give it with --secret ${name} (taken from your environment) or --secret ${name}=@FILE`,
      });
    }
    const why = !isEnvName(name)
      ? 'is not a name'
      : isReservedEnv(name)
        ? 'steers the loader, the runtime or sjs'
        : value.includes('\0') || hasUnprintable(value.replace(/[\n\t]/g, ''))
          ? 'has control characters in its value'
          : undefined;
    if (why) {
      throw new SjsError(
        'ENV_REFUSED',
        `the environment variable ${JSON.stringify(name)} cannot be set: it ${why}`,
        {
          next: 'choose another name, or pass the value on stdin',
        },
      );
    }
  }
}

function checkSecrets(declared: readonly string[], given: Readonly<Record<string, string>>): void {
  const undeclared = Object.keys(given).filter((name) => !declared.includes(name));
  if (undeclared.length > 0) {
    throw new SjsError('SECRET_UNDECLARED', `the sandbox declares no secret ${undeclared.join(', ')}`, {
      next:
        declared.length > 0
          ? `it declares ${declared.join(', ')}`
          : 'declare it under spec.secrets and build again',
    });
  }
  const missing = declared.filter((name) => !Object.hasOwn(given, name));
  if (missing.length > 0) {
    throw new SjsError('SECRET_MISSING', `the sandbox needs a value for the secret ${missing.join(', ')}`, {
      next: `give it with --secret ${missing[0]} (taken from your environment) or --secret ${missing[0]}=@FILE`,
    });
  }
}
