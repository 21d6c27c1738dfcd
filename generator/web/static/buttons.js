// Buttons that keep the keyboard's focus.

import { element } from "./elements.js";

/* A button that cannot be pressed keeps the keyboard's focus; only `disabled` would lose it. */
export const able = (button, can) => button.setAttribute("aria-disabled", String(!can));
export const isAble = (button) => button.getAttribute("aria-disabled") !== "true";

/* What a button does when it is pressed, unless it cannot be. */
export const onPress = (button, action) => button.addEventListener("click", () => isAble(button) && action());

/* A small button. */
export function quiet(name, text, title, action) {
  const button = Object.assign(element("button", `quiet ${name}`, text), { title });
  onPress(button, () => action(button));
  return button;
}

/* The same with a name for those who do not see what it stands beside. */
export function small(text, label, action) {
  const button = Object.assign(element("button", "quiet", text), { ariaLabel: label });
  onPress(button, action);
  return button;
}
