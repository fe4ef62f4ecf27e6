import type { Owner } from '../../model/record.js';

/**
 * Labels by which recovery finds what a run left. They are given when something is created; images never have them
 * (a base with `dev.sjs.*` labels is refused).
 */
export const RUN_LABELS = {
  id: 'dev.sjs.run.id',
  /** SJS_HOME: only its own commands clean up. */
  home: 'dev.sjs.run.home',
  /** The {@link Owner} as JSON. */
  owner: 'dev.sjs.run.owner',
  /** Milliseconds after the start at which the run is over. */
  timeoutMs: 'dev.sjs.run.timeout-ms',
  /** Of a container that was started ahead: what only its SJS_HOME can say of it. */
  mark: 'dev.sjs.run.mark',
} as const;

/** The labels of a container or volume that this owner makes for a run. */
export function ownerLabels(runId: string, owner: Owner): Record<string, string> {
  const { bootId, pid, startTime, home } = owner;
  return {
    [RUN_LABELS.id]: runId,
    [RUN_LABELS.home]: home,
    [RUN_LABELS.owner]: JSON.stringify({ bootId, pid, startTime, home }),
  };
}

/** The run and owner that labels name, or null when they are not as {@link ownerLabels} makes them. */
export function readOwnerLabels(
  labels: Readonly<Record<string, unknown>> | null | undefined,
): { readonly runId: string; readonly owner: Owner } | null {
  const runId = labels?.[RUN_LABELS.id];
  const text = labels?.[RUN_LABELS.owner];
  if (typeof runId !== 'string' || runId === '' || typeof text !== 'string') return null;
  try {
    const owner = JSON.parse(text) as Partial<Owner>;
    const { bootId, pid, startTime, home } = owner;
    const isOwner =
      typeof bootId === 'string' &&
      Number.isSafeInteger(pid) &&
      typeof startTime === 'string' &&
      typeof home === 'string' &&
      home === labels?.[RUN_LABELS.home];
    return isOwner ? { runId, owner: { bootId, pid: pid as number, startTime, home } } : null;
  } catch {
    return null;
  }
}

/** The name of a run's sandbox container. Run ids are ULIDs; Docker's names are lower case here. */
export function sandboxName(runId: string): string {
  return `sjs-${runId.toLowerCase()}`;
}

/** The name of a run's network. */
export function networkName(runId: string): string {
  return `${sandboxName(runId)}-net`;
}

/** The name of a run's gateway container. */
export function gatewayName(runId: string): string {
  return `${sandboxName(runId)}-gateway`;
}

/** The name of a run's collector container, and of its /out volume. */
export function outName(runId: string): string {
  return `${sandboxName(runId)}-out`;
}
