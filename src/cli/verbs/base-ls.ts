import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';

/** Versions that fit a line. */
const SHOWN = 4;

/** `sjs base ls`. */
export const baseLsVerb: Verb = {
  examples: [
    ['sjs base ls', 'each repository that the policy trusts, and its versions'],
    ['sjs base ls --json', 'all versions, and which line of the policy trusts them'],
  ],
  usage: '',
  positionals: [0, 0],
  async run(_input, { sjs, output, tapSignals }) {
    const bases = await sjs.listBases({ signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(bases);
    await output.print(
      await formatTable(
        ['repository', 'versions', 'keys', 'trusted by'],
        bases.map(({ repository, versions, keys, keyless, trustedBy, error }) => [
          repository,
          versions === null ? (error ?? 'a pattern') : shorten(versions),
          keyless ? 'keyless' : String(keys.length),
          trustedBy,
        ]),
      ),
    );
    if (bases.length === 0) {
      output.note('no policy trusts a base yet: sjs base import <ref> <target> --sign-key KEY --trust');
    }
    return 0;
  },
};

function shorten(versions: readonly string[]): string {
  if (versions.length === 0) return 'none';
  const more = versions.length > SHOWN ? `, … ${versions.length - SHOWN} more` : '';
  return versions.slice(0, SHOWN).join(', ') + more;
}
