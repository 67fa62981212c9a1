#!/usr/bin/env node
// Draws the pictures that other programs show of the page: its icons, and the card of a link.
//
//     node scripts/page-images.mjs      writes www/pictures/icon-180.png, icon-512.png and card.png

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { findBrowser } from "../tests/browser/find-browser.mjs";

const folder = fileURLToPath(new URL("../www/pictures/", import.meta.url));
const icon = `data:image/svg+xml;base64,${readFileSync(new URL("../www/page/icon.svg", import.meta.url)).toString("base64")}`;
const square = (size) => ({
  file: `icon-${size}.png`,
  width: size,
  height: size,
  // Phones cut the corners by themselves, and want no transparency.
  body: `<body style="margin:0;background:#fbf8f3"><img src="${icon}" style="display:block;width:76%;margin:12%"></body>`,
});
const card = {
  file: "card.png",
  width: 1200,
  height: 630,
  body: `<body style="margin:0;padding:110px 100px;box-sizing:border-box;background:#fbf8f3;color:#231f1a;font:56px/1.5 Georgia,serif">
    <p style="margin:0 0 60px;color:#675f55;font-size:36px">TokenFormer</p>
    <p style="margin:0">Once upon a time, there was a little girl who <span style="color:#35496a">lived in a house by the sea</span><span style="border-right:5px solid #9a3b26"></span></p>
    <p style="position:absolute;bottom:80px;margin:0;color:#675f55;font-size:32px">A small language model, entirely in your browser.</p></body>`,
};

const browser = await chromium.launch({ executablePath: await findBrowser(), args: ["--no-sandbox"] });
try {
  for (const { file, width, height, body } of [square(180), square(512), card]) {
    const page = await browser.newPage({ viewport: { width, height } });
    await page.setContent(body);
    writeFileSync(`${folder}${file}`, await page.screenshot());
    await page.close();
    console.log(`www/pictures/${file}`);
  }
} finally {
  await browser.close();
}
