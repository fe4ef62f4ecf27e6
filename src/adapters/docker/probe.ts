import type { Control } from '../../model/run-plan.js';
import type { EngineFacts } from '../../ports/engine.js';
import { cleanWords } from './engine-error.js';

/** The fields of `GET /version` that are read. */
export interface VersionAnswer {
  readonly Version?: string;
  readonly Os?: string;
  readonly KernelVersion?: string;
  readonly Components?: readonly { readonly Name?: string; readonly Version?: string }[] | null;
}

/** The fields of `GET /info` that are read. */
export interface InfoAnswer {
  readonly OSType?: string;
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly PidsLimit?: boolean;
  readonly CpuCfsPeriod?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly CgroupVersion?: string;
  readonly CgroupDriver?: string;
  readonly SecurityOptions?: readonly string[] | null;
  readonly Runtimes?: Readonly<Record<string, unknown>> | null;
  readonly Plugins?: { readonly Log?: readonly string[] | null; readonly Volume?: readonly string[] | null };
}

/** What the engine's answers say about it. Pure; what an answer leaves out counts as missing. */
export function readFacts(version: VersionAnswer, info: InfoAnswer): EngineFacts {
  const missingControls: { control: Control; reason: string }[] = [];
  const need = (control: Control, isThere: boolean | undefined, reason: string): void => {
    if (isThere !== true) missingControls.push({ control, reason });
  };
  const options = info.SecurityOptions ?? [];
  need(
    'seccomp',
    options.some((option) => /^name=seccomp(,|$)/.test(option)),
    'the engine has no seccomp',
  );
  need('memory-limit', info.MemoryLimit, 'the kernel has no memory controller');
  need('no-swap', info.SwapLimit, 'the kernel does not account swap (swapaccount=1)');
  need('pids-limit', info.PidsLimit, 'the kernel has no pids controller');
  need('cpu-limit', info.CpuCfsPeriod === true && info.CpuCfsQuota === true, 'the kernel has no CFS quota');
  need('private-namespaces', info.OSType === 'linux', 'the engine does not run Linux containers');
  need('reaper', info.Plugins?.Log?.includes('local'), 'the engine has no `local` log driver');
  need('out-limit', info.Plugins?.Volume?.includes('local'), 'the engine has no `local` volume driver');
  if (!Object.hasOwn(info.Runtimes ?? {}, 'runc')) {
    missingControls.push({ control: 'init', reason: 'the engine has no runtime named runc' });
  }
  const component = (name: string): string | null =>
    version.Components?.find((one) => one.Name?.toLowerCase() === name)?.Version ?? null;
  const engine = cleanWords(version.Version ?? 'unknown');
  const runc = component('runc');
  return {
    name: component('podman engine') === null ? 'Docker Engine' : 'Podman',
    version: engine,
    runtime: 'runc',
    runtimeVersion: runc === null ? null : cleanWords(runc),
    kernel: version.KernelVersion === undefined ? null : cleanWords(version.KernelVersion),
    warnings: warnings(engine, runc, info, options),
    missingControls,
  };
}

function warnings(
  engine: string,
  runc: string | null,
  info: InfoAnswer,
  options: readonly string[],
): string[] {
  const found: string[] = [];
  if (isBelow(engine, '29.5.1')) {
    found.push(`Docker Engine ${engine} is older than 29.5.1 (CVE-2026-41567, CVE-2026-34040, AF_ALG)`);
  }
  if (runc !== null && isRuncBelowFloor(runc)) {
    found.push(
      `runc ${cleanWords(runc)} is older than 1.3.6, 1.4.3 and 1.5.0 (CVE-2026-41579, CVE-2025-31133)`,
    );
  }
  if (info.CgroupVersion !== '2') found.push('the kernel uses cgroup v1; cgroup v2 is recommended');
  if (!options.some((option) => /^name=(apparmor|selinux)(,|$)/.test(option))) {
    found.push('the engine has neither AppArmor nor SELinux');
  }
  return found;
}

function isRuncBelowFloor(version: string): boolean {
  const floor = /^1\.4\./.test(version) ? '1.4.3' : /^1\.3\./.test(version) ? '1.3.6' : '1.5.0';
  return isBelow(version, floor);
}

/** Compares major, minor and patch; distributions' suffixes (`26.1.5+dfsg1`) do not count. Unknown is below. */
function isBelow(version: string, floor: string): boolean {
  const numbers = (text: string): number[] =>
    (/^\d+\.\d+\.\d+/.exec(text)?.[0] ?? '0').split('.').map(Number);
  const [have, want] = [numbers(version), numbers(floor)];
  for (const [index, wanted] of want.entries()) {
    const difference = (have[index] ?? 0) - wanted;
    if (difference !== 0) return difference < 0;
  }
  return false;
}
