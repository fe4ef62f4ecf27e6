// Serves GET /mydata with the JSON of its argument: once, or as often as asked for a number of seconds.
//   npm ci && sjs run -e PORT=3005 ./examples/temporary-link -- '{"data":{"hello":"world"}}'
//   … -- '{"data":{"hello":"world"},"seconds":60}'
import express from 'express';

let input;
try {
  input = JSON.parse(process.argv[2]);
} catch {
  // Said below, as for JSON without data.
}
if (input?.data === undefined) {
  console.error(`usage: server.js '{"data":…,"seconds":60}'; without seconds the link works once`);
  process.exit(2);
}

const app = express();
const close = () => {
  server.close();
  server.closeIdleConnections();
};
app.get('/mydata', (_request, response) => {
  if (input.seconds === undefined) response.once('finish', close).set('Connection', 'close');
  response.json(input.data);
});
const server = app.listen(Number(process.env.PORT ?? 3005), () =>
  console.log(`listening on ${server.address().port}`),
);
if (input.seconds !== undefined) setTimeout(close, input.seconds * 1000);
