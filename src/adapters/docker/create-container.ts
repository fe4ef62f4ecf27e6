import type { ContainerCreateOptions, VolumeCreateOptions } from 'dockerode';
import { SjsError } from '../../errors.js';
import type { RunPlan } from '../../model/run-plan.js';
import type { Owner } from '../../ports/engine.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';
import { outName, ownerLabels, RUN_LABELS } from './owner-labels.js';

/**
 * Creates a container of an image that is there; nothing is pulled.
 * @throws SjsError `SEAL_IMAGE_MISSING` when the engine does not have the image.
 */
export async function createNamedContainer(
  client: DockerClient,
  name: string,
  options: ContainerCreateOptions,
  abort?: AbortSignal,
): Promise<void> {
  try {
    await client.call(
      'create the container',
      SLOW_CALL_MS,
      (abortSignal) =>
        // Spelled out, or docker-modem repeats the whole body (environment, profile) in the address.
        client.docker.createContainer({ _query: { name }, _body: options, abortSignal } as never),
      abort,
    );
  } catch (cause) {
    if (statusOf(cause) !== 404) throw cause;
    throw new SjsError('SEAL_IMAGE_MISSING', `the engine has no image ${options.Image}`, {
      cause,
      next: 'build it again with `sjs build`',
    });
  }
}

/** Creates the volume of /out: a tmpfs of its own with size and inode limits, that only the run's user can use. */
export async function createOutVolume(
  client: DockerClient,
  runId: string,
  owner: Owner,
  plan: RunPlan,
): Promise<void> {
  const options = outVolumeOptions(runId, owner, plan);
  await client.call('create the volume', SLOW_CALL_MS, () => client.docker.createVolume(options));
  // The engine answers just as well with a volume of that name that was there already, whatever its options are.
  const made = await client.call('inspect the volume', CALL_MS, () =>
    client.docker.getVolume(outName(runId)).inspect(),
  );
  if (made.Labels?.[RUN_LABELS.id] !== runId || made.Options?.['o'] !== options.DriverOpts?.['o']) {
    throw new SjsError('ENGINE_FAILED', `the engine has a volume ${options.Name} that sjs did not make`);
  }
}

/** The volume's options. Pure. */
export function outVolumeOptions(runId: string, owner: Owner, plan: RunPlan): VolumeCreateOptions {
  const [uid, gid] = plan.user.split(':');
  const { outBytes, outInodes } = plan.filesystem;
  const o = `size=${outBytes ?? 0},nr_inodes=${outInodes},mode=0700,uid=${uid},gid=${gid ?? uid},noexec,nosuid,nodev`;
  return {
    Name: outName(runId),
    Driver: 'local',
    DriverOpts: { type: 'tmpfs', device: 'tmpfs', o },
    Labels: ownerLabels(runId, owner),
  };
}
