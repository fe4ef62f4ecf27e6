import type { Duplex } from 'node:stream';
import { fieldsOf } from '../../model/fields.js';
import type { RunPlan } from '../../model/run-plan.js';
import type { Member, Owner } from '../../ports/engine.js';
import { textOf } from './answer.js';
import { attach } from './attach.js';
import { CALL_MS, SLOW_CALL_MS, type DockerClient } from './client.js';
import { sandboxOptions } from './container-options.js';
import { createNamedContainer } from './create-container.js';
import { watchEnding } from './ending.js';
import { isUnanswered, statusOf } from './engine-error.js';
import { followStarted } from './follow-container.js';
import { RUN_LABELS, sandboxName } from './owner-labels.js';
import { startMemberReaper } from './reaper.js';
import { removeContainer } from './remove.js';
import type { EngineAssets } from './run-container.js';

/**
 * Most runs are over by then, and a reaper that hears of one starts processes. When sjs is killed before, the container goes
 * at once, as one that nobody has claimed.
 */
const CLAIM_AFTER_MS = 25;

/** Starts a container that waits for its run; see the port. */
export async function startMember(
  client: DockerClient,
  assets: EngineAssets,
  memberId: string,
  mark: string,
  owner: Owner,
  plan: RunPlan,
): Promise<Member> {
  const name = sandboxName(memberId);
  const reaper = startMemberReaper(memberId, client.endpoint, {
    nodePath: assets.nodePath ?? process.execPath,
    reaperFile: assets.reaperFile,
  });
  const watched = client.changes.container(name);
  let socket: Duplex | null = null;
  let removing: Promise<void> | null = null;
  const remove = async (isKnown: boolean): Promise<void> => {
    socket?.destroy();
    watched.close();
    const isGone = await removeContainer(client, name).then(
      () => true,
      () => false,
    );
    // One that the engine makes after all, the reaper finds.
    if (isKnown && isGone) reaper.dismiss();
    else reaper.remove();
  };
  try {
    const options = sandboxOptions(memberId, owner, plan);
    const Labels = { ...options.Labels, [RUN_LABELS.mark]: mark };
    await createNamedContainer(client, name, { ...options, Labels });
    socket = await client.call('attach', CALL_MS, (abort) => attach(client, name, abort));
    socket.on('error', () => undefined);
    await client.call('start the container', SLOW_CALL_MS, (abortSignal) =>
      client.docker.getContainer(name).start({ abortSignal }),
    );
    const settle = watched.begin();
    const started = await inspect(client, name);
    settle();
    const attached = socket;
    return {
      id: memberId,
      // A socket that has ended is a program that has, or an engine that was restarted.
      async isFit() {
        const isUnchanged = await watched.isUnchanged();
        // Without its reaper nobody would end it if this process were killed.
        if (!attached.readable || !attached.writable || !reaper.isAlive()) return false;
        if (isUnchanged) return true;
        const settleAgain = watched.begin();
        if (JSON.stringify(await inspect(client, name)) !== JSON.stringify(started)) return false;
        settleAgain();
        return true;
      },
      async run(given, streams, signals) {
        const ending = watchEnding(client, name, signals, streams.onEnding);
        let claiming: NodeJS.Timeout | null = null;
        let isClaimed = false;
        try {
          const onStarted = (): void => {
            // From here on there is a record of it, by which it is found again.
            claiming = setTimeout(() => {
              isClaimed = true;
              reaper.claim(given.resources.timeoutMs);
            }, CLAIM_AFTER_MS);
            streams.onStarted();
          };
          const own = { ...streams, onStarted };
          const run = { client, runId: memberId, owner, plan: given, streams: own, abort: signals.abort };
          const outcome = await followStarted(run, ending, attached);
          await streams.onEnded(outcome);
          if (isClaimed) reaper.recorded();
          return outcome;
        } finally {
          ending.close();
          if (claiming) clearTimeout(claiming);
          streams.stdin?.destroy();
        }
      },
      remove: () => (removing ??= remove(true)),
    };
  } catch (error) {
    await remove(!isUnanswered(error));
    throw error;
  }
}

/** What must be the same when it is handed out as when it was started. */
async function inspect(client: DockerClient, name: string): Promise<readonly unknown[]> {
  try {
    const found = await client.call('inspect the container', SLOW_CALL_MS, (abortSignal) =>
      client.docker.getContainer(name).inspect({ abortSignal }),
    );
    const { Id, Image, State, HostConfig } = fieldsOf(found);
    const { Status, Running, Paused, OOMKilled, Pid, StartedAt } = fieldsOf(State);
    return [textOf(Id), textOf(Image), Status, Running, Paused, OOMKilled, Pid, StartedAt, HostConfig];
  } catch (error) {
    if (statusOf(error) === 404) return [];
    throw error;
  }
}
