// Serves a page inside the sandbox, opens it in headless Chromium, clicks its button, waits for what that changes and
// brings a picture of the page out.
//   sjs run examples/screenshot --out shots && file shots/*.png
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import puppeteer from 'puppeteer-core';

const html = await readFile(new URL('page.html', import.meta.url));
const server = createServer((_request, response) =>
  response.setHeader('content-type', 'text/html; charset=utf-8').end(html),
);
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const browser = await puppeteer.launch({
  executablePath: '/usr/bin/chromium',
  // Over a pipe: nothing listens.
  pipe: true,
  // Chromium's own sandbox needs namespaces, which no sandbox of sjs can make: the container is the boundary.
  args: ['--no-sandbox'],
  defaultViewport: { width: 800, height: 500 },
});
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.click('button');
  await page.waitForSelector('output:not(:empty)');
  await page.screenshot({ path: '/out/page.png' });
  console.log(`${await page.$eval('output', ({ textContent }) => textContent)}: /out/page.png`);
} finally {
  await browser.close();
  server.close();
}
