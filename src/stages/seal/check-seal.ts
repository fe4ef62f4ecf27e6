import { SjsError } from '../../errors.js';
import { decodeLabels } from '../../model/sealed-labels.js';
import { LOWEST_UID } from '../../model/sandbox.js';
import { computeSeal, type ImageFacts, type IndexEntry, type SealedImage } from '../../model/sealed-image.js';

/**
 * Computes the seal of what the engine holds now and compares all of it with the index. The only way to a
 * {@link SealedImage}.
 * @throws SjsError `SEAL_IMAGE_MISSING`, `SEAL_MISMATCH`, `SEAL_INDEX_MISMATCH`, `SEAL_REFUSED`.
 */
export function checkSeal(image: ImageFacts | null, entry: IndexEntry): SealedImage {
  if (!image) {
    throw new SjsError('SEAL_IMAGE_MISSING', `the engine no longer has ${entry.tag}`, {
      next: 'build it again with sjs build: the same input gives the same seal',
    });
  }
  if (image.unknownConfigFields.length > 0) {
    throw new SjsError(
      'SEAL_REFUSED',
      `${entry.tag} has config that this sjs does not know: ${image.unknownConfigFields.join(', ')}`,
      {
        next: 'use the sjs that sealed it, or build it again',
      },
    );
  }
  const seal = computeSeal(image);
  if (seal !== entry.seal) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${entry.tag} now names another image: its seal is ${seal}, the index says ${entry.seal}`,
      {
        next: 'somebody moved the tag or changed the image: find out who, then build it again',
      },
    );
  }
  const labels = decodeLabels(image.config.Labels ?? {});
  const others = [
    ...(labels.name === entry.name && labels.version === entry.version ? [] : ['sandbox']),
    ...(labels.baseDigest === entry.base.manifestDigest ? [] : ['base']),
  ];
  if (others.length > 0) {
    throw new SjsError(
      'SEAL_INDEX_MISMATCH',
      `the index names another ${others.join(' and ')} for ${entry.tag} than its labels, which the seal covers`,
      { next: `somebody edited SJS_HOME: find out who, then sjs rm ${entry.tag} and build or pull it again` },
    );
  }
  const problems = [
    ...(image.config.Volumes ? ['it declares volumes'] : []),
    ...(image.config.OnBuild ? ['it has ONBUILD triggers'] : []),
    ...(isSafeUser(image.config.User) ? [] : [`its user is ${image.config.User ?? 'root'}`]),
    ...(image.config.Entrypoint ? [] : ['it has no entrypoint']),
  ];
  if (problems.length > 0) {
    throw new SjsError('SEAL_REFUSED', `${entry.tag} cannot be run: ${problems.join('; ')}`, {
      next: 'build it again with sjs build',
    });
  }
  return { entry, image, labels } as SealedImage;
}

function isSafeUser(user: string | undefined): boolean {
  const match = /^([1-9][0-9]{4,9}):([1-9][0-9]{4,9})$/.exec(user ?? '');
  return match !== null && Number(match[1]) >= LOWEST_UID && Number(match[2]) >= LOWEST_UID;
}
