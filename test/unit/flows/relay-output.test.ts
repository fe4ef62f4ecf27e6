import { expect, test } from '@jest/globals';
import { relayOutput } from '../../../src/flows/relay-output.js';

const MIB = 1024 ** 2;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('both streams arrive in the order in which they were written', async () => {
  const got: string[] = [];
  const slow = async (chunk: Uint8Array) => {
    await turn();
    got.push(Buffer.from(chunk).toString());
  };
  const relay = relayOutput({ onStdout: slow, onStderr: slow }, () => undefined);
  await Promise.all([
    relay.onStdout(Buffer.from('a')),
    relay.onStderr(Buffer.from('b')),
    relay.onStdout(Buffer.from('c')),
  ]);
  await relay.delivered();
  expect(got).toEqual(['a', 'b', 'c']);
});

test('a receiver that takes nothing holds the program after 1 MiB, and nobody once the program is dead', async () => {
  const never = () => new Promise<void>(() => undefined);
  const relay = relayOutput({ onStdout: never, onStderr: never }, () => undefined);
  await relay.onStdout(Buffer.alloc(MIB));
  let passed = false;
  const second = relay.onStdout(Buffer.alloc(1)).then(() => (passed = true));
  await turn();
  expect(passed).toBe(false);
  relay.release();
  await second;
  await relay.onStderr(Buffer.alloc(MIB));
});

test('a receiver that fails is told of once and gets nothing more', async () => {
  let failures = 0;
  let calls = 0;
  const fail = () => {
    calls += 1;
    throw new Error('gone');
  };
  const relay = relayOutput({ onStdout: fail, onStderr: fail }, () => void (failures += 1));
  await relay.onStdout(Buffer.alloc(2 * MIB));
  await relay.onStderr(Buffer.alloc(2 * MIB));
  expect({ failures, calls }).toEqual({ failures: 1, calls: 1 });
  expect(relay.failure).toMatchObject({ error: { message: 'gone' } });
});
