import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';

/** The table of who may import whom: CONTRIBUTING.md says it in words. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'errors.ts': ['errors.ts', 'model'],
  model: ['model', 'errors.ts'],
  ports: ['model', 'errors.ts', 'ports'],
  stages: ['model', 'errors.ts', 'ports', 'own folder'],
  adapters: ['model', 'errors.ts', 'ports', 'own folder', 'adapters/process'],
  flows: ['model', 'errors.ts', 'ports', 'stages', 'flows'],
  'api.ts': ['model', 'ports', 'stages', 'flows'],
  'running.ts': ['api.ts', 'flows'],
  'tools.ts': ['api.ts', 'model', 'ports', 'stages', 'flows', 'adapters'],
  'sjs.ts': ['api.ts', 'tools.ts', 'running.ts', 'model', 'errors.ts', 'ports', 'stages', 'flows'],
  'sandbox-class.ts': ['api.ts', 'errors.ts', 'model', 'sjs.ts'],
  'index.ts': ['sandbox-class.ts', 'model', 'errors.ts', 'ports', 'sjs.ts', 'api.ts'],
  cli: ['index.ts', 'own folder'],
  guest: ['own folder'],
};

const source = resolve('src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join(source, file));

const specifiers = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/(?<!')(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    (match) => match[1] ?? '',
  );

const localImports = (file: string): string[] =>
  specifiers(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => resolve(dirname(file), specifier.replace(/\.js$/, '.ts')));

/** `stages/seal`, `adapters/docker`, `cli`, `sjs.ts`. */
const roomOf = (file: string): string => {
  const parts = relative(source, file).split('/');
  return ['stages', 'adapters'].includes(parts[0] ?? '') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
};

describe('the house', () => {
  test.each(files.map((file) => [relative(source, file), file]))(
    '%s imports only what its level may',
    (_name, file) => {
      const room = roomOf(file);
      const level = room.split('/')[0] ?? '';
      const allowed = MAY_IMPORT[level];
      expect({ room, allowed }).toHaveProperty('allowed', expect.any(Array));
      const refused = localImports(file).filter((target) => {
        const other = roomOf(target);
        return !(
          (allowed?.includes('own folder') && other === room) ||
          allowed?.includes(other) ||
          allowed?.includes(other.split('/')[0] ?? '')
        );
      });
      expect(refused.map((target) => relative(source, target))).toEqual([]);
    },
  );

  test('no import leads in a circle', () => {
    const graph = new Map(
      files.map((file) => {
        // `import type` and dynamic imports cannot make a cycle at load time.
        const text = readFileSync(file, 'utf8')
          .replace(/(?:import|export) type[^;]*;/g, '')
          .replace(/import\([^)]*\)/g, '');
        const targets = [...text.matchAll(/from\s+'(\.[^']+)'/g)].map((match) =>
          resolve(dirname(file), (match[1] ?? '').replace(/\.js$/, '.ts')),
        );
        return [file, targets] as const;
      }),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file))
        return void circles.push([...path, file].map((one) => relative(source, one)).join(' -> '));
      if (done.has(file)) return;
      for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  test('each external package is imported in one folder', () => {
    const rooms = new Map<string, Set<string>>();
    for (const file of files) {
      for (const specifier of specifiers(file)) {
        if (specifier.startsWith('.') || specifier.startsWith('node:') || builtinModules.includes(specifier))
          continue;
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        rooms.set(name, (rooms.get(name) ?? new Set()).add(roomOf(file)));
      }
    }
    const spread = [...rooms]
      .filter(([, folders]) => folders.size > 1)
      .map(([name, folders]) => `${name}: ${[...folders].sort().join(', ')}`);
    // These are vocabularies, not tools: versions and archives are read where they occur, and what is many takes turns.
    expect(spread.filter((line) => !/^(semver|tar-stream|p-limit):/.test(line))).toEqual([]);
  });

  test('verified bases, sealed images and run plans are each made in one place', () => {
    const makers = (pattern: RegExp): string[] =>
      files.filter((file) => pattern.test(readFileSync(file, 'utf8'))).map((file) => roomOf(file));
    expect(new Set(makers(/as (?:unknown as )?VerifiedBase\b/))).toEqual(new Set(['stages/verify']));
    expect(new Set(makers(/as (?:unknown as )?SealedImage\b/))).toEqual(new Set(['stages/seal']));
    expect(new Set(makers(/as (?:unknown as )?RunPlan\b/))).toEqual(new Set(['stages/plan']));
  });

  test('the environment is read at the composition root alone, and only the command line prints or exits', () => {
    const offenders = (pattern: RegExp, allowed: (room: string) => boolean): string[] =>
      files
        .filter((file) => !allowed(roomOf(file)) && pattern.test(readFileSync(file, 'utf8')))
        .map((file) => relative(source, file));
    expect(offenders(/process\.env\b/, (room) => ['tools.ts', 'cli', 'guest'].includes(room))).toEqual([]);
    expect(
      offenders(/console\.|process\.exit\b|process\.std(?:out|err)\b/, (room) =>
        ['cli', 'guest'].includes(room),
      ),
    ).toEqual([]);
  });
});
