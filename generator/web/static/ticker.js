// A clock in a worker, because browsers slow down the timers of a page that is not seen.

setInterval(() => postMessage(null), 20);
