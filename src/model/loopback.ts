/**
 * Whether a registry (`host` or `host:port`) is this machine by its very name: 127.0.0.0/8, `[::1]` or `localhost`.
 * Only such a one is spoken to without TLS.
 */
export function isLoopback(registry: string): boolean {
  const host = registry.replace(/:[0-9]+$/, '').toLowerCase();
  return host === 'localhost' || host === '[::1]' || /^127(?:\.(?:0|[1-9][0-9]{0,2})){3}$/.test(host);
}
