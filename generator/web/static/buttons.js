// Small parts of a page: elements, and buttons that keep the keyboard's focus.

/* A button that cannot be pressed keeps the keyboard's focus; only `disabled` would lose it. */
export const able = (button, can) => button.setAttribute("aria-disabled", String(!can));
export const isAble = (button) => button.getAttribute("aria-disabled") !== "true";

/* What a button does when it is pressed, unless it cannot be. */
export const onPress = (button, action) => button.addEventListener("click", () => isAble(button) && action());

export const element = (tag, className, textContent = "") => Object.assign(document.createElement(tag), { className, textContent });

/* A small button. */
export function quiet(name, text, title, action) {
  const button = Object.assign(element("button", `quiet ${name}`, text), { title });
  onPress(button, () => action(button));
  return button;
}
