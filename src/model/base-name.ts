import { LANGUAGE_NAMES, LANGUAGES, type Language } from './language.js';
import type { Sandbox } from './sandbox.js';

/** Browsers that a base can have beside Node. */
export const BROWSERS = ['chromium'] as const;

/** One of them. */
export type Browser = (typeof BROWSERS)[number];

/** What an operator can have a default base for: a language, or Node with a browser. */
export type BaseName = Language | Browser;

/** All of them but Node, whose default base stands by itself. */
export const OTHER_BASES = [...LANGUAGES.filter((language) => language !== 'node'), ...BROWSERS] as const;

/** One of those. */
export type OtherBase = (typeof OTHER_BASES)[number];

/** What people call what is in the base. */
export const BASE_TITLES: Readonly<Record<BaseName, string>> = {
  ...LANGUAGE_NAMES,
  chromium: 'Node with Chromium',
};

/** The default base that a sandbox takes when it names none. */
export const baseNameOf = ({ browser, language }: Pick<Sandbox, 'browser' | 'language'>): BaseName =>
  browser ?? language;

/** What a base is the default for: what the last part of its repository names, else Node. */
export function baseNameFrom(repository: string): BaseName {
  const last = repository.split('/').at(-1);
  return OTHER_BASES.find((name) => name === last) ?? 'node';
}
