// Serves the API on loopback, which is all the network that this sandbox has, asks it everything, and prints the answers:
// the same ones at each run, so that a replay says `reproduced`.
import { once } from 'node:events';
import { createApp } from './app.js';

const server = createApp((line) => process.stdout.write(line)).listen(0, '127.0.0.1');
await once(server, 'listening');
const ask = async (path, body) => {
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
    ...(body && {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  });
  console.log(await response.text());
};

await ask('/orders', {
  customer: 'ada@example.com',
  lines: [
    { item: 'tea', count: 2, price: 3.5 },
    { item: 'cup', count: 1, price: 8 },
    { item: 'tea', count: 1, price: 3.5 },
  ],
});
await ask('/orders', { customer: 'nobody', lines: [] });
await ask('/pages', {
  title: 'Tea & cups',
  text: 'See [the shop](https://example.com/tea).\n\n<script>alert(1)</script>',
});
await ask('/time?zone=Europe/Berlin');
await ask('/time?zone=Nowhere');
await ask('/about');
server.close();
server.closeAllConnections();
