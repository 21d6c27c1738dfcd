// Files for whoever listens.

const FETCH_MS = 60_000; // as long the browser may take to begin with the file

/* Hand a file over as a download. */
export function handOver(blob, name) {
  const href = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), FETCH_MS);
}
