// A clock that ticks in a hidden tab too, where browsers slow the timers of a page down to one tick a minute.

/* Call an action every so many milliseconds; returns the function that ends it. */
export function every(ms, action) {
  let timer;
  let worker;
  const usual = () => (timer ??= setInterval(action, ms));
  const address = URL.createObjectURL(new Blob([`setInterval(() => postMessage(null), ${ms})`], { type: "text/javascript" }));
  try {
    worker = new Worker(address); // the timers of a worker are not slowed down
    worker.onmessage = action;
    worker.onerror = usual; // the page's policy may forbid workers
  } catch {
    usual();
  }
  return () => {
    worker?.terminate();
    clearInterval(timer);
    URL.revokeObjectURL(address);
  };
}
