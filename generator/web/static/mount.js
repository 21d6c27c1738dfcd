// How Streamlit puts a stage into its page, and takes it out again.

import { installable } from "./install.js";
import { closesAfterChoice } from "./sidebar.js";
import { Stage } from "./stage.js";

/* The function that Streamlit calls when it mounts the part, and again whenever its data changes. */
export function mounts(View) {
  installable();
  closesAfterChoice();
  const stages = new WeakMap();
  let left = null; // the stage that left the page last
  return (component) => {
    const root = component.parentElement;
    if (!root.querySelector("section")) return undefined;
    let stage = stages.get(root);
    if (!stage) {
      stage = new Stage(root, View);
      stages.set(root, stage);
      if (left) stage.takeOver(left);
      left = null;
      Object.defineProperty(window, "carousel", { get: () => stage.report, configurable: true });
    }
    stage.update(component);
    // Streamlit also calls this where a newer call has overtaken this one; only what has left the page is closed.
    return () => {
      if (root.host.isConnected) return;
      stages.delete(root);
      stage.close();
      left = stage;
    };
  };
}
