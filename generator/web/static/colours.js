// The colours of a roll in the theme of the page.

const ON_DARK = ["#e8b75a", "#e58a7b", "#62bfae", "#86a8ee", "#b997e6", "#a9c96f", "#ec9f68", "#93a6ba"];
const ON_LIGHT = ["#8a5a00", "#b03a2e", "#0f6f60", "#2f57b8", "#7441b0", "#4b6a12", "#a04a0c", "#4a5f75"];

/* The custom property that has the colour of a voice. */
export const variable = (voice) => `var(--voice-${voice % ON_DARK.length})`;

/* What the style of an element says: ink, gold and paper by their opacity, the shade of the black keys, and the voices. */
export function colours(context, style) {
  const [background, ink, gold] = ["--st-background-color", "--ink", "--gold"].map((name) => {
    context.fillStyle = style.getPropertyValue(name);
    return context.fillStyle; // as #rrggbb
  });
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(background.slice(place, place + 2), 16));
  const isLight = red * 0.3 + green * 0.59 + blue * 0.11 > 128;
  const faint = (colour) => (alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
  return {
    theme: background + ink + gold,
    ink: faint(ink),
    gold: faint(gold),
    paper: faint(background),
    shade: faint("#000000")(isLight ? 0.04 : 0.18),
    colours: isLight ? ON_LIGHT : ON_DARK,
  };
}
