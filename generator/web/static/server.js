// What is asked of the server.

const BASE = new URL("../", import.meta.url);

export async function post(route, body, signal = undefined) {
  const answer = await fetch(new URL(route, BASE), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(error ?? `the server answered ${answer.status}`), { final: Boolean(error), gone: answer.status === 410 });
}

export function instrument(program, drum) {
  return fetch(new URL(`instrument?program=${program}&drum=${Number(drum)}`, BASE));
}
