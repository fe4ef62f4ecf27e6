import { hexOf, sha256 } from '../../model/digest.js';

/** A UUID (RFC 9562, version 8) that a text alone decides. */
export function uuidOf(text: string): string {
  const hex = hexOf(sha256(text));
  const variant = ((parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
