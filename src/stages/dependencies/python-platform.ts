import { satisfies, valid } from '@renovatebot/pep440';
import {
  EnvironmentMarkerVariable,
  type EnvironmentMarker,
  type EnvironmentMarkerNode,
} from 'pip-requirements-js';
import { SjsError } from '../../errors.js';
import { normalizeProject, type WheelName } from '../../model/wheel.js';

/** The Python that packages are for. */
export interface PythonPlatform {
  /** `3.11.2` */
  readonly version: string;
  /** As Linux has it: `x86_64`. */
  readonly machine: string;
}

/** What a marker can ask for (PyPA, dependency specifiers); of the kernel it would be known at the run alone. */
function environmentOf(
  { version, machine }: PythonPlatform,
  extra: string,
): Readonly<Record<string, string>> {
  return {
    python_version: minorOf(version).join('.'),
    python_full_version: version,
    os_name: 'posix',
    sys_platform: 'linux',
    platform_system: 'Linux',
    platform_machine: machine,
    platform_python_implementation: 'CPython',
    implementation_name: 'cpython',
    implementation_version: version,
    extra,
  };
}

const VARIABLES: readonly string[] = Object.values(EnvironmentMarkerVariable);

/**
 * Whether a marker asks for this Python.
 * @param extra the extra that is looked for; '' for none
 * @throws SjsError `LOCKFILE_INVALID` for one that nobody knows before the run
 */
export function evaluateMarker(
  marker: EnvironmentMarker | null,
  platform: PythonPlatform,
  extra = '',
): boolean {
  if (marker === null) return true;
  if (isNode(marker)) {
    const isLeft = evaluateMarker(marker.left, platform, extra);
    if (marker.operator === 'and') return isLeft && evaluateMarker(marker.right, platform, extra);
    return isLeft || evaluateMarker(marker.right, platform, extra);
  }
  const environment = environmentOf(platform, extra);
  const valueOf = (side: string): string => {
    if (!VARIABLES.includes(side)) return side.slice(1, -1);
    const value = environment[side];
    if (value !== undefined) return value;
    throw new SjsError('LOCKFILE_INVALID', `a marker asks for ${side}, which nobody knows before the run`, {
      next: 'remove what depends on it',
    });
  };
  const [left, right] = [valueOf(marker.left), valueOf(marker.right)];
  return asksForExtra(marker)
    ? compare(normalizeProject(left), marker.operator, normalizeProject(right))
    : compare(left, marker.operator, right);
}

/** Whether a marker is one thing for an extra and another without. */
export function asksForExtra(marker: EnvironmentMarker | null): boolean {
  if (marker === null) return false;
  if (isNode(marker)) return asksForExtra(marker.left) || asksForExtra(marker.right);
  return [marker.left, marker.right].includes(EnvironmentMarkerVariable.Extra);
}

const isNode = (marker: EnvironmentMarker): marker is EnvironmentMarkerNode =>
  marker.operator === 'and' || marker.operator === 'or';

/** As versions where both are, else as texts. */
function compare(left: string, operator: string, right: string): boolean {
  if (operator === 'in') return right.includes(left);
  if (operator === 'not in') return !right.includes(left);
  if (valid(left) !== null && valid(right.replace(/\.\*$/, '')) !== null)
    return satisfies(left, `${operator}${right}`, { prereleases: true });
  switch (operator) {
    case '==':
    case '===':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    default:
      return false;
  }
}

function minorOf(version: string): readonly [major: number, minor: number] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return [major, minor];
}

/** Of one wheel; those of PyPI have a dozen. */
const MOST_TAGS = 1000;

/**
 * How well a wheel suits, best first in order; null for one that is for others. As pip has it, but for glibc: how old the
 * one of a base is nobody says, so of two the wheel is better that is content with the older one.
 */
export function rankWheel(wheel: WheelName, platform: PythonPlatform): readonly number[] | null {
  if (wheel.pythons.length * wheel.abis.length * wheel.platforms.length > MOST_TAGS) return null;
  const [major, minor] = minorOf(platform.version);
  const ranks = wheel.pythons.flatMap((python) =>
    wheel.abis.flatMap((abi) =>
      wheel.platforms.flatMap((system) => {
        const suits = rankPython(python, abi, system === 'any', major, minor);
        const glibc = rankSystem(system, platform.machine);
        return suits === null || glibc === null ? [] : [[suits, glibc, -wheel.build]];
      }),
    ),
  );
  return ranks.sort(compareRanks)[0] ?? null;
}

/** The order of what {@link rankWheel} gives. */
export function compareRanks(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((one, at) => one !== b[at]);
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}

/** First what was compiled for this Python, then what is for its stable ABI, then what was not compiled. */
function rankPython(
  python: string,
  abi: string,
  isAnySystem: boolean,
  major: number,
  minor: number,
): number | null {
  const [, kind, digits = ''] = /^(cp|py)(\d+)$/.exec(python) ?? [];
  if (kind === undefined || Number(digits[0]) !== major) return null;
  const of = digits.length > 1 ? Number(digits.slice(1)) : null;
  const own = `cp${major}${minor}`;
  if (kind === 'cp' && abi === own && of === minor) return 0;
  // The stable ABI of an older Python holds in each that came after.
  if (kind === 'cp' && abi === 'abi3') return of !== null && of >= 2 && of <= minor ? 1 + minor - of : null;
  if (abi !== 'none') return null;
  if (kind === 'cp') return of === minor || of === null ? (isAnySystem ? 200 : 100) : null;
  if (of !== null && of > minor) return null;
  return (isAnySystem ? 300 : 200) + (of === null ? 99 : minor - of);
}

/** Names of before they said the version of glibc. */
const OLD: Readonly<Record<string, number>> = { manylinux1: 5, manylinux2010: 12, manylinux2014: 17 };

/** The minor version of glibc 2 that a wheel wants; 0 for any system, and last what does not say. */
function rankSystem(system: string, machine: string): number | null {
  if (system === 'any') return 0;
  if (!system.endsWith(`_${machine}`)) return null;
  const name = system.slice(0, -machine.length - 1);
  const old = Object.hasOwn(OLD, name) ? OLD[name] : undefined;
  if (old !== undefined) return old;
  const [, glibc] = /^manylinux_2_(\d{1,3})$/.exec(name) ?? [];
  if (glibc !== undefined) return Number(glibc);
  return name === 'linux' ? 1000 : null;
}
