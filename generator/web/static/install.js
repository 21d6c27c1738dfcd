// The page as an app of its own, where the browser offers that.

/* Name the manifest and the icon in the head of the page, once. */
export function installable() {
  for (const [rel, file] of [["manifest", "app.webmanifest"], ["apple-touch-icon", "icon.png"]]) {
    if (document.head.querySelector(`link[rel="${rel}"]`)) continue;
    document.head.append(Object.assign(document.createElement("link"), { rel, href: new URL(file, import.meta.url).href }));
  }
}
