/** An RFC 1123 label from the name of a file or folder; `fallback` when nothing of it can be one. */
export function sandboxName(text: string, fallback: string): string {
  const label = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return label === '' ? fallback : label;
}
