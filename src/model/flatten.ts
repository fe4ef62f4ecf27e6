/** The leaves of a nested value by dotted path; lists count as leaves. */
export function flattenLeaves(value: object, prefix = ''): Map<string, unknown> {
  return new Map(
    Object.entries(value).flatMap(([key, item]: [string, unknown]): [string, unknown][] =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? [...flattenLeaves(item, `${prefix}${key}.`)]
        : [[`${prefix}${key}`, item]],
    ),
  );
}
