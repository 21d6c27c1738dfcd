// What is asked of the server.

const BASE = new URL("../", import.meta.url);

const MOST_TURNS = 5;

/* Ask; if the server has another request of this visitor at hand, ask again when it says so, a few times. */
export async function post(route, body, signal = undefined) {
  let answer;
  for (let turn = 1; turn <= MOST_TURNS; turn++) {
    answer = await fetch(new URL(route, BASE), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (answer.ok) return answer;
    if (answer.status !== 429 || turn === MOST_TURNS) break;
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    await new Promise((later) => setTimeout(later, 1000 * seconds));
  }
  const { error } = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(error ?? `the server answered ${answer.status}`), { final: Boolean(error), gone: answer.status === 410 });
}

export function instrument(program, drum) {
  return fetch(new URL(`instrument?program=${program}&drum=${Number(drum)}`, BASE));
}
