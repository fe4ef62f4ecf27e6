import { isBuiltin } from 'node:module';

/** As it is usually written; what else there is, the run says. Bounded: the code is anybody's. */
const IMPORT =
  /(?:^|[\s;{}(=])(?:import|export)\s[^'"`;]{0,500}?from\s*(['"])([^'"\n]{1,500})\1|(?:^|[\s;{}])import\s*(['"])([^'"\n]{1,500})\3|\b(?:require|import)\s*\(\s*(['"])([^'"\n]{1,500})\5\s*\)/g;

/** A remark about what a single file imports beside Node itself, since nothing but that file is sealed. */
export function describeImports(code: string, where: string): readonly string[] {
  const names = [...code.matchAll(IMPORT)].map((match) => match[2] ?? match[4] ?? match[6] ?? '');
  // The pattern takes what stands between two strings for a third.
  const missing = [...new Set(names)].filter((name) => /^[\w@.~#/:-]+$/.test(name) && !isBuiltin(name));
  if (missing.length === 0) return [];
  const shown = missing.slice(0, 3).join(', ') + (missing.length > 3 ? ', …' : '');
  return [`${where} imports ${shown}, and is sealed alone: give its folder to have all of it`];
}
