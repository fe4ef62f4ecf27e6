import type { Platform } from '../../model/base.js';
import type { Control } from '../../model/run-plan.js';
import { fieldsOf } from '../../model/fields.js';
import type { EngineFacts } from '../../ports/engine.js';
import { textOf, textsOf } from './answer.js';
import { cleanWords } from './engine-error.js';

/**
 * What the answers to `GET /version` and `GET /info` say about the engine. Pure; what an answer leaves out, or gives
 * another type, counts as missing.
 */
export function readFacts(versionAnswer: unknown, infoAnswer: unknown): Omit<EngineFacts, 'hostAddresses'> {
  const [version, info] = [fieldsOf(versionAnswer), fieldsOf(infoAnswer)];
  const missingControls: { control: Control; reason: string }[] = [];
  const need = (control: Control, isThere: unknown, reason: string): void => {
    if (isThere !== true) missingControls.push({ control, reason });
  };
  const options = textsOf(info['SecurityOptions']);
  const plugins = fieldsOf(info['Plugins']);
  need(
    'seccomp',
    options.some((option) => /^name=seccomp(,|$)/.test(option)),
    'the engine has no seccomp',
  );
  need('memory-limit', info['MemoryLimit'], 'the kernel has no memory controller');
  need('no-swap', info['SwapLimit'], 'the kernel does not account swap (swapaccount=1)');
  need('pids-limit', info['PidsLimit'], 'the kernel has no pids controller');
  need(
    'cpu-limit',
    info['CpuCfsPeriod'] === true && info['CpuCfsQuota'] === true,
    'the kernel has no CFS quota',
  );
  need('private-namespaces', info['OSType'] === 'linux', 'the engine does not run Linux containers');
  need('reaper', textsOf(plugins['Log']).includes('local'), 'the engine has no `local` log driver');
  need('out-limit', textsOf(plugins['Volume']).includes('local'), 'the engine has no `local` volume driver');
  if (!Object.hasOwn(fieldsOf(info['Runtimes']), 'runc')) {
    missingControls.push({ control: 'init', reason: 'the engine has no runtime named runc' });
  }
  const versions = readVersions(version);
  const engine = versions.engine ?? 'unknown';
  const kernel = textOf(version['KernelVersion']);
  const { runc } = versions;
  return {
    name: componentOf(version, 'podman engine') === null ? 'Docker Engine' : 'Podman',
    version: engine,
    runtime: 'runc',
    runtimeVersion: runc,
    kernel: kernel === null ? null : cleanWords(kernel),
    platform: readPlatform(version),
    portWarning: isBelow(engine, '28.0.0')
      ? `Docker Engine ${engine} is older than 28: published ports can be reached by neighbours on the same link as this machine, even those of 127.0.0.1`
      : null,
    warnings: warnings(engine, runc, info, options),
    missingControls,
  };
}

/** What an engine runs natively, by the answer to `GET /version`; null when it does not say. */
export function readPlatform(answer: unknown): Platform | null {
  const { Os: os, Arch: architecture } = fieldsOf(answer);
  return typeof os === 'string' && typeof architecture === 'string' ? { os, architecture } : null;
}

/** The versions of an engine and of its runc in the answer to `GET /version`; null for what it does not say. */
export function readVersions(answer: unknown): {
  readonly engine: string | null;
  readonly runc: string | null;
} {
  const version = fieldsOf(answer);
  const clean = (text: string | null): string | null => (text === null ? null : cleanWords(text));
  return { engine: clean(textOf(version['Version'])), runc: clean(componentOf(version, 'runc')) };
}

function componentOf(version: Readonly<Record<string, unknown>>, name: string): string | null {
  const components = Array.isArray(version['Components']) ? version['Components'].map(fieldsOf) : [];
  return textOf(components.find((one) => textOf(one['Name'])?.toLowerCase() === name)?.['Version']);
}

function warnings(
  engine: string,
  runc: string | null,
  info: Readonly<Record<string, unknown>>,
  options: readonly string[],
): string[] {
  const found: string[] = [];
  if (isBelow(engine, '29.5.1')) {
    found.push(`Docker Engine ${engine} is older than 29.5.1 (CVE-2026-41567, CVE-2026-34040, AF_ALG)`);
  }
  if (runc !== null && isRuncBelowFloor(runc)) {
    found.push(`runc ${runc} is older than 1.3.6, 1.4.3 and 1.5.0 (CVE-2026-41579, CVE-2025-31133)`);
  }
  if (info['CgroupVersion'] !== '2') found.push('the kernel uses cgroup v1; cgroup v2 is recommended');
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
