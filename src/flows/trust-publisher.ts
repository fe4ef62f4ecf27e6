import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SjsError } from '../errors.js';
import { nearest } from '../model/nearest.js';
import { parseYaml } from '../model/yaml-document.js';
import type { WritablePolicy } from '../ports/writable-policy.js';
import { addWrittenRule } from '../stages/policy/add-trusted-base.js';
import { parsePolicy } from '../stages/policy/parse-policy.js';

/** Somebody who publishes signed bases, with the entry of a policy that trusts them. */
export interface Publisher {
  /** What `policy trust` takes. */
  readonly name: string;
  readonly title: string;
  /** The page that states who signs. */
  readonly page: string;
  /** Whether the entry was tried against the real images, and if not why. */
  readonly tried: string;
  /** What to do with it. */
  readonly next: string;
  readonly repositories: readonly string[];
}

interface ReadPublisher extends Publisher {
  /** Lines of each rule, without its dash. */
  readonly rules: readonly (readonly string[])[];
}

/** The publishers that ship with sjs, by name. */
export async function listPublishers(directory: string): Promise<readonly Publisher[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.yaml')).sort();
  return Promise.all(files.map(async (file) => toPublisher(await readPublisher(join(directory, file)))));
}

/** What trusting a publisher did. */
export interface TrustedPublisher extends Publisher {
  readonly policyFile: string;
  /** False when the policy had the entry already. */
  readonly isNew: boolean;
}

/**
 * Writes the entry of a publisher into a policy file; comments and what is there stay.
 * @throws SjsError `USAGE` for a name that there is not; `POLICY_*` for a policy that cannot be extended.
 */
export async function trustPublisher(
  name: string,
  directory: string,
  policy: WritablePolicy,
): Promise<TrustedPublisher> {
  const names = (await listPublishers(directory)).map((publisher) => publisher.name);
  if (!names.includes(name)) {
    const meant = nearest(name, names);
    throw new SjsError('USAGE', `there is no entry ${JSON.stringify(name)}`, {
      next: meant ? `did you mean ${meant}?` : `one of: ${names.join(', ')}`,
    });
  }
  const publisher = await readPublisher(join(directory, `${name}.yaml`));
  const isNew = await policy.change(
    (before, file) =>
      publisher.rules.reduce<string | null>((text, rule) => addWrittenRule(text, rule, file), before) ?? '',
  );
  return { ...toPublisher(publisher), policyFile: policy.path, isNew };
}

const toPublisher = ({ name, title, page, tried, next, repositories }: ReadPublisher): Publisher => ({
  name,
  title,
  page,
  tried,
  next,
  repositories,
});

/** Each file is a policy by itself: what is written elsewhere has been read by the same rules. */
async function readPublisher(file: string): Promise<ReadPublisher> {
  const bytes = await readFile(file);
  const { bases = [] } = await parsePolicy(bytes, file, 'operator');
  const value = parseYaml(bytes, file).value as Readonly<Record<string, string>>;
  const lines = bytes.toString('utf8').trimEnd().split('\n');
  const rules: string[][] = [];
  for (const line of lines.slice(lines.indexOf('bases:') + 1)) {
    if (line.startsWith('  - ')) rules.push([]);
    rules.at(-1)?.push(line.slice(4));
  }
  return {
    name: file.slice(file.lastIndexOf('/') + 1, -'.yaml'.length),
    title: value['x-title'] ?? '',
    page: value['x-page'] ?? '',
    tried: value['x-tried'] ?? '',
    next: value['x-next'] ?? '',
    repositories: bases.map(({ repository }) => repository),
    rules,
  };
}
