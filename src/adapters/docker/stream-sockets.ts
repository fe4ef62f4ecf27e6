import { SjsError } from '../../errors.js';
import { fieldsOf } from '../../model/fields.js';

const INTERNET = [2, 10];
const TYPE_MASK = 0xf;
const STREAM = 1;

/**
 * A seccomp profile that leaves sockets of the Internet's families to streams. What a host's bridge sees as broadcast or
 * multicast reaches the host even where it has no address, and every datagram to a gateway takes a place in the host's
 * table of connections; no declared traffic needs one.
 * @throws SjsError `INTERNAL` for a profile whose rules for sockets are others
 */
export function withStreamsOnly(profile: string): string {
  const value = fieldsOf(JSON.parse(profile));
  let changed = 0;
  const syscalls = (value['syscalls'] as readonly unknown[]).map((one) => {
    const rule = fieldsOf(one);
    const [name, ...names] = rule['names'] as readonly string[];
    const args = (rule['args'] ?? []) as readonly unknown[];
    if (name !== 'socket' || names.length > 0 || args.length !== 1) return rule;
    const { index, op, value: family } = fieldsOf(args[0]);
    if (index !== 0 || op !== 'SCMP_CMP_EQ' || !INTERNET.includes(family as number)) return rule;
    changed += 1;
    const type = { index: 1, op: 'SCMP_CMP_MASKED_EQ', value: TYPE_MASK, valueTwo: STREAM };
    return { ...rule, args: [...args, type] };
  });
  if (changed !== INTERNET.length)
    throw new SjsError('INTERNAL', 'the seccomp profile has other rules for sockets');
  return JSON.stringify({ ...value, syscalls });
}
