import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/** Compares a text with test/golden/files/<name>. `make golden` writes it instead; the diff is reviewed. */
export function expectGolden(name: string, actual: string): void {
  const file = `test/golden/files/${name}`;
  if (process.env['SJS_GOLDEN'] === 'write') writeFileSync(file, actual);
  expect(existsSync(file)).toBe(true);
  expect(actual).toBe(readFileSync(file, 'utf8'));
}
