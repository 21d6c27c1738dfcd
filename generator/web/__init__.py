"""Floor 7: the app's pages, the routes beside them, and the parts that run in the browser."""
