import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type Docker from 'dockerode';
import { createChanges } from '../../../../src/adapters/docker/changes.js';

/** An engine that says what it is told to, to each who listens. */
function makeEngine() {
  const connections: PassThrough[] = [];
  const docker = {
    getEvents: ({ abortSignal }: { readonly abortSignal: AbortSignal }) => {
      const events = new PassThrough();
      abortSignal.addEventListener('abort', () => events.destroy());
      connections.push(events);
      return Promise.resolve(events);
    },
  } as unknown as Docker;
  const say = async (type: string, attributes: object): Promise<void> => {
    connections.at(-1)?.write(`${JSON.stringify({ Type: type, Actor: { Attributes: attributes } })}\n`);
    await setImmediate();
  };
  return { changes: createChanges(docker), connections, say };
}

test('what happens to a container, or to an image, is told to who watches it and to nobody else', async () => {
  const { changes, connections, say } = makeEngine();
  const [mine, other, images] = [changes.container('sjs-a'), changes.container('sjs-b'), changes.images()];
  await setImmediate();
  expect(connections).toHaveLength(1);
  for (const watched of [mine, other, images]) watched.begin()();
  await say('container', { name: 'sjs-c' });
  expect(await Promise.all([mine, other, images].map((one) => one.isUnchanged()))).toEqual([
    true,
    true,
    true,
  ]);
  await say('container', { name: 'sjs-a' });
  expect(await Promise.all([mine, other, images].map((one) => one.isUnchanged()))).toEqual([
    false,
    true,
    true,
  ]);
  await say('image', { name: 'somebody/else' });
  expect(await Promise.all([mine, other, images].map((one) => one.isUnchanged()))).toEqual([
    false,
    true,
    false,
  ]);
  await say('container', { name: 'moved', oldName: '/sjs-b' });
  expect(await other.isUnchanged()).toBe(false);
  mine.begin()();
  expect(await mine.isUnchanged()).toBe(true);
  for (const watched of [mine, other, images]) watched.close();
});

test('nothing is sure before the engine is heard, when it is not heard any more, or says what is no event', async () => {
  const { changes, connections } = makeEngine();
  const watched = changes.container('sjs-a');
  watched.begin()();
  await setImmediate();
  expect(await watched.isUnchanged()).toBe(false);
  watched.begin()();
  expect(await watched.isUnchanged()).toBe(true);
  connections[0]?.end();
  await setImmediate();
  expect(await watched.isUnchanged()).toBe(false);
  watched.begin()();
  expect(await watched.isUnchanged()).toBe(false);
  watched.close();

  const second = changes.container('sjs-a');
  await setImmediate();
  second.begin()();
  connections.at(-1)?.write('no event\n');
  await setImmediate();
  expect(await second.isUnchanged()).toBe(false);
  second.close();
});

test('the connection ends with the last who watches, and begins anew with the next', async () => {
  const { changes, connections } = makeEngine();
  const [one, two] = [changes.container('sjs-a'), changes.images()];
  await setImmediate();
  one.close();
  expect(connections[0]?.destroyed).toBe(false);
  two.close();
  expect(connections[0]?.destroyed).toBe(true);
  const next = changes.images();
  await setImmediate();
  expect(connections).toHaveLength(2);
  next.begin()();
  expect(await next.isUnchanged()).toBe(true);
  next.close();
});
