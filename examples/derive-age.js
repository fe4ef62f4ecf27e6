// Asks an HTTP API for the age of somebody of that name:
//   sjs run --egress api.example.test:8080 examples/derive-age.js -- '{"name":"Ada"}'
const api = 'http://api.example.test:8080';

let name;
try {
  ({ name } = JSON.parse(process.argv[2]));
} catch {
  // Said below, as for JSON without a name.
}
if (typeof name !== 'string') {
  console.error(`usage: sjs run --egress api.example.test:8080 derive-age.js -- '{"name":"Ada"}'`);
  process.exit(2);
}

const response = await fetch(`${api}/?name=${encodeURIComponent(name)}`);
if (!response.ok) throw new Error(`the API answered ${response.status}`);
const { age } = await response.json();
console.log(age);
