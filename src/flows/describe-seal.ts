import type { SealedImage } from '../model/sealed-image.js';
import { buildCycloneDx } from '../stages/attest/cyclonedx.js';
import { buildProvenance } from '../stages/attest/provenance.js';
import { buildSpdx } from '../stages/attest/spdx.js';
import { readContents, type ContentTools } from './describe-contents.js';
import type { Attested } from './push-image.js';

/**
 * What is attested of a seal by who signs it: what is in it, and how it was made, where that is known here. Nobody can
 * attest how others made theirs.
 */
export async function describeSeal(
  sealed: SealedImage,
  tools: ContentTools,
  signal?: AbortSignal,
): Promise<readonly Attested[]> {
  const contents = await readContents(sealed, tools, signal);
  const bills: readonly Attested[] = [
    { type: 'cyclonedx', predicate: { ...buildCycloneDx(contents) } },
    { type: 'spdxjson', predicate: { ...buildSpdx(contents) } },
  ];
  if (sealed.entry.build) {
    return [{ type: 'slsaprovenance1', predicate: { ...buildProvenance(contents) } }, ...bills];
  }
  tools.reporter.warn(`how ${sealed.entry.tag} was made is not known here: no provenance is attested of it`);
  return bills;
}
