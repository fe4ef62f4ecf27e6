import type { Call } from './call.js';
import type { Digest } from './digest.js';
import type { Language, OtherLanguage } from './language.js';
import { needsGateway, type Network } from './network.js';
import type { Determinism, Modules, Permissions, Resources } from './sandbox.js';

/**
 * The rights sealed into an image beside its runtime config, in the label `dev.sjs.plan`: every default resolved.
 * User, command, arguments, environment and working folder stand in the config itself, once.
 */
export interface SealedPlan {
  /** Names only. */
  readonly secrets: readonly string[];
  readonly permissions: Permissions;
  readonly resources: Resources;
  readonly filesystem: {
    readonly tmpBytes: number;
    readonly tmpInodes: number;
    readonly outBytes: number | null;
    readonly outInodes: number;
  };
  readonly network: Network;
  readonly runtime: 'runc';
  /** Digest of the seccomp profile's bytes that a run applies. */
  readonly seccompDigest: Digest;
  /** Absent when nothing is frozen. */
  readonly determinism?: Determinism;
  /** Version of what calls functions in the image; absent where nothing does. */
  readonly call?: 1;
  /** Version of what runs the code that comes with each run, instead of a program; absent where nothing does. */
  readonly code?: 1;
  /** Absent when every module can be loaded. */
  readonly modules?: Modules;
  /** Absent for Node. */
  readonly language?: OtherLanguage;
}

/**
 * Whether a run needs the image of the gateway: for declared traffic, or where the sandbox's own base has no Node, for what
 * sjs does beside the program (bringing out /out, proving the network).
 */
export function needsGatewayImage({
  network,
  filesystem,
  language = 'node',
}: {
  readonly network: Network;
  readonly filesystem: { readonly outBytes: number | null };
  readonly language?: Language;
}): boolean {
  return needsGateway(network) || needsNode({ network, filesystem, language });
}

/** The same, for its Node alone. */
export function needsNode({
  network,
  filesystem,
  language = 'node',
}: Parameters<typeof needsGatewayImage>[0]): boolean {
  return language !== 'node' && (filesystem.outBytes !== null || network.mode !== 'none');
}

/** What a run may ask for on a sealed image: only tighter, or inputs that were declared. */
export interface RunRequest {
  readonly args: readonly string[] | null;
  /** Names outside the reserved list; recorded as an input. */
  readonly env: Readonly<Record<string, string>>;
  /** Values of declared secrets. Never recorded, only fingerprinted. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Tighter limits. */
  readonly limits: Partial<Resources>;
  /** The function to call instead of running the program; absent for a run. */
  readonly call?: Call;
}

/** The sealed image of the gateway, as a run needs it. */
export interface GatewayImage {
  readonly seal: Digest;
  readonly imageId: string;
  readonly user: string;
  readonly command: readonly string[];
}

declare const planned: unique symbol;

/** One run, fully decided: what an engine carries out and what its record says. Only `stages/plan` makes one. */
export interface RunPlan {
  readonly seal: Digest;
  /** The engine's id of the image: containers are created from it, never from a tag. */
  readonly imageId: string;
  /** Whether it was sealed elsewhere: then what its programs say is no more than the author's word. */
  readonly isImported: boolean;
  readonly user: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDirectory: string;
  /** The exact environment, without secrets. */
  readonly env: Readonly<Record<string, string>>;
  /** Names that the image's Env has and the run must not: they are unset. */
  readonly unsetEnv: readonly string[];
  readonly secrets: Readonly<Record<string, string>>;
  /** Whether the sealed program expects the secrets frame ahead of stdin. */
  readonly expectsSecrets: boolean;
  readonly resources: Resources;
  readonly filesystem: SealedPlan['filesystem'];
  readonly network: SealedPlan['network'];
  /** What carries the declared traffic; null when none is declared. */
  readonly gateway: GatewayImage | null;
  /** The engine's id of the image whose Node runs what sjs does beside the program; absent: the sandbox's own has one. */
  readonly nodeImageId?: string;
  readonly runtime: SealedPlan['runtime'];
  /** Text of the seccomp profile. */
  readonly seccompProfile: string;
  readonly [planned]: true;
}

/** One protection that an engine enforces. The docs list them; a test meets each. */
export const CONTROLS = [
  'non-root-user',
  'no-capabilities',
  'no-new-privileges',
  'read-only-rootfs',
  'seccomp',
  'no-network',
  'isolated-network',
  'gateway',
  'memory-limit',
  'no-swap',
  'cpu-limit',
  'pids-limit',
  'open-files-limit',
  'no-core-dumps',
  'tmp-limit',
  'out-limit',
  'private-namespaces',
  'init',
  'no-devices',
  'no-volumes',
  'no-healthcheck',
  'time-limit',
  'output-limit',
  'secrets-frame',
  'reaper',
] as const;

/** One of the closed list of controls. */
export type Control = (typeof CONTROLS)[number];
