#!/usr/bin/env node
// Runs the benchmark page of dist/ in headless Chromium and prints its JSON.
//
//     node scripts/bench.mjs [--software] [QUERY]
//
// QUERY is that of bench.html, for example "models=150M,450M&runs=5"; `long=1` and `prefill=1` add a long context and
// the prefill of 1,024 tokens, `subgroups=0` disables that feature. --software: on the CPU, to check that it works.
// CHROMIUM=/path/to/one takes precedence over other browsers. Build first: trunk build --release.

import { withBrowser } from "./browser.mjs";

const given = process.argv.slice(2);
const software = given[0] === "--software";
const query = given[software ? 1 : 0] ?? "models=150M,450M,900M,1-5B&long=1&prefill=1";

await withBrowser({ software }, async (browser, origin) => {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`bench: ${error}`));
  // The page posts its JSON to this address, which only this route handles.
  const reported = new Promise((resolve) => {
    page.route("**/report", (route) => {
      resolve(route.request().postData());
      return route.fulfill({ status: 204 });
    });
  });
  await page.goto(`${origin}/bench.html?run=1&report=/report&${query}`);
  console.log(await reported);
});
