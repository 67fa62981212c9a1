#!/usr/bin/env node
// Draws the images of the page that other programs show: its icons, and the preview card for links.
//
//     node scripts/page-images.mjs      writes www/pictures/: icon-{180,192,512}.png, icon-maskable-512.png and card.png

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { findBrowser } from "../tests/browser/find-browser.mjs";

const folder = fileURLToPath(new URL("../www/pictures/", import.meta.url));
const source = readFileSync(new URL("../www/page/icon.svg", import.meta.url), "utf8");
const [, accent] = /<rect[^>]* fill="(#[0-9a-f]+)"/.exec(source);
const address = `data:image/svg+xml;base64,${Buffer.from(source).toString("base64")}`;

/** The icon unchanged, with transparent corners. */
const icon = (size) => ({
  file: `icon-${size}.png`,
  width: size,
  height: size,
  omitBackground: true,
  body: `<body style="margin:0"><img src="${address}" style="display:block;width:100%">`,
});
/**
 * An icon whose corners the system cuts: colour up to the edges, no transparency. Of a maskable icon, only the central
 * circle of four fifths of its width is always visible: the lines, half as wide as the icon, fit into it at this scale.
 */
const fullBleed = (size, file) => ({
  file,
  width: size,
  height: size,
  body: `<body style="margin:0;background:${accent}"><img src="${address}" style="display:block;width:100%">`,
});
const ink = "color:#231f1a";
const quiet = "color:#675f55;font:32px/1.4 system-ui,sans-serif";
const card = {
  file: "card.png",
  width: 1200,
  height: 630,
  body: `<body style="margin:0;height:630px;box-sizing:border-box;padding:80px 90px;background:#fbf8f3;${ink};font-family:Georgia,serif">
    <p style="display:flex;align-items:center;gap:22px;margin:0;${quiet}"><img src="${address}" style="width:56px">TokenFormer</p>
    <p style="margin:34px 0 30px;font-size:68px;line-height:1.2;letter-spacing:-.01em">Start a story. It writes the rest.</p>
    <p style="margin:0;padding:26px 34px;border:1px solid #ddd5c8;border-radius:10px;background:#fffdf9;font-size:40px;line-height:1.5">Once upon a time, there was a little girl who <span style="color:#35496a">lived in a house by the sea</span><span style="border-inline-end:4px solid ${accent};margin-inline-start:4px"></span></p>
    <p style="position:absolute;inset-block-end:66px;margin:0;${quiet}">A small language model, in your browser. Nothing is sent anywhere.</p>`,
};

const browser = await chromium.launch({ executablePath: await findBrowser(), args: ["--no-sandbox"] });
try {
  const icons = [icon(192), icon(512), fullBleed(180, "icon-180.png"), fullBleed(512, "icon-maskable-512.png")];
  for (const { file, width, height, body, omitBackground } of [...icons, card]) {
    const page = await browser.newPage({ viewport: { width, height } });
    await page.setContent(body);
    writeFileSync(`${folder}${file}`, await page.screenshot({ omitBackground }));
    await page.close();
    console.log(`www/pictures/${file}`);
  }
} finally {
  await browser.close();
}
