import { onceEach } from '../model/once-each.js';
import { askOnce } from '../stages/verify/verify-base.js';
import type { BuildTools } from './build-sandbox.js';

/**
 * The same tools for many builds of one command: the policy of a folder is read once, and what registry, cosign and the
 * base's file system have to say is asked once, however many builds at once ask it. So all of them see the same tags, too.
 */
export function shareAnswers(tools: BuildTools): BuildTools {
  const { registry, images } = tools;
  const once = onceEach();
  return {
    ...tools,
    loadPolicy: (directory) => once(['policy', directory], () => tools.loadPolicy(directory)),
    verifier: { ...tools.verifier, ...askOnce(tools.verifier) },
    registry: {
      ...registry,
      listTags: (repository, signal) =>
        once(['tags', repository], () => registry.listTags(repository, signal)),
      getManifest: (repository, reference, signal) =>
        once(['manifest', repository, reference], () => registry.getManifest(repository, reference, signal)),
      getBlob: (repository, digest, maxBytes, signal) =>
        once(['blob', repository, digest, maxBytes], () =>
          registry.getBlob(repository, digest, maxBytes, signal),
        ),
    },
    images: {
      ...images,
      platform: (signal) => once(['platform'], () => images.platform(signal)),
      pull: (reference, credentials, onProgress, signal) =>
        once(['pull', reference], () => images.pull(reference, credentials, onProgress, signal)),
      scanRootfs: (imageId, owner, signal) =>
        once(['rootfs', imageId], () => images.scanRootfs(imageId, owner, signal)),
    },
  };
}
