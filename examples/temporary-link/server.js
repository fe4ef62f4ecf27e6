// Serves the JSON of its argument at GET /mydata: once, or for so many seconds when LINK_SECONDS says.
//   sjs run --port 3000:3005 --env PORT=3005 ./examples/temporary-link -- '{"name":"Ada"}'
//   curl localhost:3000/mydata
import express from 'express';

let data;
try {
  data = JSON.parse(process.argv[2]);
} catch {
  console.error(`usage: server.js '{"name":"Ada"}'`);
  process.exit(2);
}

const seconds = process.env.LINK_SECONDS;
const app = express();
const close = () => {
  server.close();
  server.closeIdleConnections();
};
app.get('/mydata', (_request, response) => {
  if (seconds === undefined) response.once('finish', close).set('Connection', 'close');
  response.json(data);
});
const server = app.listen(Number(process.env.PORT ?? 3005), () =>
  console.log(`listening on ${server.address().port}`),
);
if (seconds !== undefined) setTimeout(close, Number(seconds) * 1000);
