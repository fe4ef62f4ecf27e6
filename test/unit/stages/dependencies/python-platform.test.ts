import { describe, expect, test } from '@jest/globals';
import { chooseWheel, isInRange } from '../../../../src/stages/dependencies/choose-wheels.js';
import { evaluateMarker, rankWheel } from '../../../../src/stages/dependencies/python-platform.js';
import {
  parseSpecification,
  type Requirement,
} from '../../../../src/stages/dependencies/read-requirements.js';
import { parseWheelName } from '../../../../src/model/wheel.js';

const PLATFORM = { version: '3.11.2', machine: 'x86_64' };

describe('a marker', () => {
  const evaluate = (text: string, extra?: string): boolean => {
    const found = parseSpecification(`a; ${text}`);
    const marker = found !== null && 'environmentMarkerTree' in found ? found.environmentMarkerTree : null;
    if (!marker) throw new Error(`no marker: ${text}`);
    return evaluateMarker(marker, PLATFORM, extra);
  };
  test.each([
    ['python_version >= "3.8"', true],
    ['python_version < "3.9"', false],
    // As versions: as texts 3.11 would be less.
    ['python_version > "3.9"', true],
    ['"3.10" <= python_version', true],
    ['python_version == "3.*"', true],
    ['python_version in "3.10 3.11"', true],
    ['python_version not in "2.7"', true],
    ['python_full_version >= "3.11.3"', false],
    ['python_version ~= "3.10"', true],
    ['sys_platform == "linux" and os_name == "posix"', true],
    ['sys_platform == "win32" or platform_system == "Linux"', true],
    ['(sys_platform == "win32" or os_name == "nt") and python_version > "3"', false],
    ['platform_machine == "x86_64"', true],
    ['platform_python_implementation != "PyPy"', true],
    ['implementation_name == "cpython"', true],
    ['extra == "test"', false],
  ])('%s: %s', (text, expected) => {
    expect(evaluate(text)).toBe(expected);
  });
  test('of an extra holds for that alone', () => {
    expect(evaluate('extra == "test"', 'test')).toBe(true);
    expect(evaluate('extra == "test"', 'docs')).toBe(false);
  });
  test('that only the run could answer is refused', () => {
    expect(() => evaluate('platform_release >= "6"')).toThrow('platform_release');
  });
});

describe('of wheels', () => {
  const rank = (tags: string) => {
    const name = parseWheelName(`a-1.0-${tags}.whl`);
    if (name === null) throw new Error(tags);
    return rankWheel(name, PLATFORM);
  };
  test.each([
    'cp311-cp311-macosx_11_0_x86_64',
    'cp311-cp311-win_amd64',
    'cp311-cp311-manylinux_2_17_aarch64',
    'cp311-cp311-musllinux_1_1_x86_64',
    'cp312-cp312-manylinux_2_17_x86_64',
    'cp312-abi3-manylinux_2_17_x86_64',
    'cp310-cp310-manylinux_2_17_x86_64',
    'cp311-cp311d-manylinux_2_17_x86_64',
    'cp313-cp313t-manylinux_2_17_x86_64',
    'pp311-pypy311_pp73-manylinux_2_17_x86_64',
    'py2-none-any',
    'py312-none-any',
    'cp27-abi3-manylinux_2_17_x86_64',
  ])('%s is for others', (tags) => {
    expect(rank(tags)).toBeNull();
  });

  const requirement: Requirement = {
    ...{ name: 'a', version: '1.0.0', extras: [], marker: null, line: 1 },
    hashes: Array.from({ length: 20 }, (_, index) => `sha256-${index}`),
  };
  const choose = (...names: string[]): string | null =>
    chooseWheel(
      requirement,
      names.map((name, index) => ({ name, url: name, integrity: `sha256-${index}` })),
      PLATFORM,
    ).url;

  test('the one for this very Python comes first, and what is not compiled last', () => {
    const order = [
      'a-1.0-cp311-cp311-manylinux1_x86_64.whl',
      'a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
      'a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl',
      'a-1.0-cp311-cp311-linux_x86_64.whl',
      'a-1.0-cp311-abi3-manylinux_2_17_x86_64.whl',
      'a-1.0-cp37-abi3-manylinux_2_17_x86_64.whl',
      'a-1.0-py3-none-manylinux_2_17_x86_64.whl',
      'a-1.0-2-py3-none-any.whl',
      'a-1.0-py2.py3-none-any.whl',
    ];
    for (let at = 0; at < order.length; at += 1) {
      expect(choose(...order.slice(at).reverse())).toBe(order[at]);
    }
  });

  test('a version without a local part has files with any', () => {
    expect(choose('a-1.0+cpu-py3-none-any.whl')).toBe('a-1.0+cpu-py3-none-any.whl');
  });

  test('another project, another version and another form of archive are none', () => {
    const others = [
      'b-1.0-py3-none-any.whl',
      'a-1.1-py3-none-any.whl',
      'a-1.0.tar.gz',
      'a-1.0-py3-none-any.exe',
    ];
    expect(() => choose(...others)).toThrow('none of its files is a wheel for Python 3.11.2 on x86_64');
    expect(() =>
      chooseWheel(
        { ...requirement, hashes: [] },
        [{ name: 'a-1.0-py3-none-any.whl', url: '', integrity: 'sha256-0' }],
        PLATFORM,
      ),
    ).toThrow('no file of it with a hash of requirements.txt');
    expect(() => choose()).toThrow('the index does not have the project');
  });

  test.each([
    'a-1.0',
    '../a-1.0-py3-none-any.whl',
    'a-1.0-py3-none-any.whl/x',
    `${'a'.repeat(300)}-1.0-py3-none-any.whl`,
  ])('%s is no name of one', (name) => {
    expect(parseWheelName(name)).toBeNull();
  });
});

test('a range that nobody can read has no version', () => {
  expect(isInRange('1.0', '>=1')).toBe(true);
  expect(isInRange('1.0', '')).toBe(true);
  expect(isInRange('1.0', 'what?')).toBe(false);
});
