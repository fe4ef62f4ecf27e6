/**
 * The secrets as they stand ahead of stdin: the length of the JSON as 32 bit big endian, then the JSON object. Also
 * when there are none: a program that expects the frame would otherwise take the first bytes of its input for it.
 */
export function encodeSecretsFrame(secrets: Readonly<Record<string, string>>): Uint8Array {
  const json = Buffer.from(JSON.stringify(secrets), 'utf8');
  const frame = Buffer.alloc(4 + json.length);
  frame.writeUInt32BE(json.length);
  json.copy(frame, 4);
  return frame;
}
