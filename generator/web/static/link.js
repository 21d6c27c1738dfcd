// Links that hold a whole take.

const LONGEST_LINK = 16_000; // characters; some programs cut longer ones
const LARGEST = 2 ** 20; // bytes of an origin in a link

/* The address of this page with a take in it. Nothing of it is sent to the server until the page is opened. */
export async function link(origin) {
  const stream = new Blob([origin]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const packed = await bytes(stream, LONGEST_LINK * 0.75).catch(() => {
    throw new Error("This take is too long for a link. Download the take, and send the file.");
  });
  const text = btoa(String.fromCharCode(...packed)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${location.origin}${location.pathname}#take=${text}`;
}

/* Take the link out of the address, or the next reload would begin with it again. */
export const leaveLink = () => history.replaceState(history.state, "", location.pathname + location.search);

/* The origin in the address of this page; null without one. */
export async function linked() {
  const [, text] = /^#take=(.*)$/.exec(location.hash) ?? [];
  if (text === undefined) return null;
  try {
    const packed = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new TextDecoder().decode(await bytes(stream, LARGEST));
  } catch {
    throw new Error("This link was cut off or changed. Ask for it again.");
  }
}

async function bytes(stream, most) {
  const parts = [];
  let size = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    size += value.length;
    if (size > most) throw new Error("too large");
    parts.push(value);
  }
}
