/**
 * Modules that Node has, without `node:`: those of Node 20 to 24, and what has come since. The list is the same wherever a
 * sandbox.yaml is read; a base that lacks one says so when it is asked for.
 */
export const BUILTIN_MODULES: readonly string[] = [
  ...['_http_agent', '_http_client', '_http_common', '_http_incoming', '_http_outgoing', '_http_server'],
  ...['_stream_duplex', '_stream_passthrough', '_stream_readable', '_stream_transform', '_stream_wrap'],
  ...['_stream_writable', '_tls_common', '_tls_wrap', 'assert', 'assert/strict', 'async_hooks', 'buffer'],
  ...['child_process', 'cluster', 'console', 'constants', 'crypto', 'dgram', 'diagnostics_channel', 'dns'],
  ...['dns/promises', 'domain', 'events', 'ffi', 'fs', 'fs/promises', 'http', 'http2', 'https', 'inspector'],
  ...[
    'inspector/promises',
    'module',
    'net',
    'os',
    'path',
    'path/posix',
    'path/win32',
    'perf_hooks',
    'process',
  ],
  ...['punycode', 'querystring', 'quic', 'readline', 'readline/promises', 'repl', 'sea', 'sqlite', 'stream'],
  ...['stream/consumers', 'stream/promises', 'stream/web', 'string_decoder', 'sys', 'test', 'test/reporters'],
  ...[
    'timers',
    'timers/promises',
    'tls',
    'trace_events',
    'tty',
    'url',
    'util',
    'util/types',
    'v8',
    'vm',
    'wasi',
  ],
  ...['worker_threads', 'zlib'],
];

/** The name of a builtin, however it is written: `node:fs` is `fs`. */
export const withoutScheme = (name: string): string => name.replace(/^node:/, '');
