import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version in sjs's package.json, from src/ as from dist/, without loading anything else. */
export const readOwnVersion = (): string =>
  (JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string })
    .version;
