// The branches of a take: each step back and each choice makes one. The tab remembers how they came to be, and the server
// draws one again when the listener goes back to it.

import { element } from "./elements.js";
import { recall, remember, TAB } from "./storage.js";

const MOST = 24; // branches
const LONGEST_ORIGIN = 200_000; // characters; a longer one is not remembered
const MOST_CHARACTERS = 1_000_000; // of all origins: a tab may store some five million, and the take itself needs room
const SAVE_MS = 1000;

/* Storage belongs to the browser: what is not as it was written is no branch. */
const isBranch = (one) =>
  Number.isInteger(one?.id) && [one.at, one.length].every(Number.isFinite) && typeof one.name === "string" && (one.origin === null || typeof one.origin === "string");

/* The two branches that are compared: the one that plays and the one before it, the older one first. */
export function compared(pair, left, now) {
  const isNew = Number.isInteger(left) && left !== now && !pair.includes(now);
  return isNew ? [left, now].sort((one, other) => one - other) : pair;
}

export class Branches {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.element = element("div", "branches");
    this.panel = { name: "Branches", element: this.element, toggled: (isOpen) => this.toggle(isOpen) };
    this.rows = new Map();
    this.branches = null; // {id, parent, name, at, length, origin}, as soon as they are needed
    this.now = null; // the branch that plays
    this.next = null; // the branch that was asked for
    this.pair = []; // the numbers of the two that are compared
    this.savedAt = 0;
  }

  toggle(isOpen) {
    this.isOpen = isOpen;
    if (isOpen) this.draw();
  }

  /* The branches, as the tab remembers them. */
  get all() {
    return (this.branches ??= this.load());
  }

  get current() {
    return this.all.find(({ id }) => id === this.now);
  }

  begin(live) {
    const { stage } = this;
    const { all } = this;
    const left = this.now;
    if (this.isAwaited) stage.say("");
    this.isAwaited = false;
    const isReload = !stage.asked && this.current?.origin === stage.origin; // and no link
    const asked = stage.asked === "restore" ? this.next : isReload ? this.now : null;
    if (all.some(({ id }) => id === asked)) this.now = asked;
    else {
      const isChild = this.current && ["back", "choose", "redraw"].includes(stage.asked);
      const at = isChild ? (stage.reason?.at ?? live.at) : 0;
      const name = stage.reason?.about ?? (isChild ? `${live.title} from ${stage.view.words(at)}` : live.title);
      const id = 1 + Math.max(0, ...all.map((one) => one.id));
      all.push({ id, parent: isChild ? this.now : null, name, at, length: at, origin: null });
      this.now = id;
      const size = () => all.reduce((sum, { origin }) => sum + (origin?.length ?? 0), 0);
      while (all.length > 1 && (all.length > MOST || size() > MOST_CHARACTERS)) this.forget();
    }
    this.pair = compared(this.pair, left, this.now);
    this.draw();
  }

  /* Forget the oldest branch that nothing grows from. */
  forget() {
    const { all } = this;
    const isLeaf = ({ id }) => id !== this.now && !all.some(({ parent }) => parent === id);
    this.remove(all.find(isLeaf) ?? all[0]);
  }

  tick() {
    const { stage, current } = this;
    if (!current || !stage.live || stage.state === "starting") return;
    current.length = Math.max(current.length, stage.view.position);
    if (stage.origin) current.origin = stage.origin.length > LONGEST_ORIGIN ? null : stage.origin;
    if (performance.now() > this.savedAt + SAVE_MS) this.save();
    if (this.isOpen) this.measure();
  }

  /* Go on with a branch from a position on. */
  go(branch, position) {
    const { stage } = this;
    if (!branch.origin || stage.state === "starting") return;
    const isHere = branch.id === this.now && stage.live && stage.data.visitor;
    const here = isHere ? { visitor: stage.data.visitor, take: stage.live.take } : {};
    this.next = branch.id;
    stage.wait("restore", { origin: branch.origin, position, ...here });
    this.isAwaited = !isHere;
    if (!isHere) stage.say("The branch is drawn again …");
  }

  /* The two that are compared, as two buttons: each goes on with its branch at the moment that is heard. */
  comparison() {
    const box = element("div", "compare");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Compare two branches");
    const two = this.pair.map((number) => this.all.find(({ id }) => id === number)).filter(Boolean);
    box.hidden = two.length < 2;
    box.append(...two.map((branch, index) => this.choice(branch, "AB"[index])));
    return box;
  }

  choice(branch, letter) {
    const isNow = branch.id === this.now;
    const button = element("button", "quiet");
    button.append(element("b", "", letter), ` ${branch.name}`);
    button.setAttribute("aria-pressed", String(isNow));
    button.title = isNow ? "This one plays" : "Hear this one from here on";
    button.addEventListener("click", () => isNow || this.go(branch, this.stage.view.position));
    return button;
  }

  /* What grew from it grows from its parent then. */
  remove(branch) {
    const { all } = this;
    for (const one of all) if (one.parent === branch.id) one.parent = branch.parent;
    all.splice(all.indexOf(branch), 1);
    this.save();
    this.draw();
  }

  draw() {
    if (!this.isOpen) return;
    const { all } = this;
    const inOrder = (parent, depth) =>
      all.filter((one) => one.parent === parent).flatMap((one) => [{ one, depth }, ...inOrder(one.id, depth + 1)]);
    const list = element("ul");
    this.rows.clear();
    list.append(...inOrder(null, 0).map(({ one, depth }) => this.row(one, depth)));
    const about = "Each step back, each choice and each bar drawn again begins a branch. Click on a line to go on from there.";
    this.element.replaceChildren(element("p", "about", about), this.comparison(), list);
    list.hidden = !all.length;
    this.measure();
  }

  row(branch, depth) {
    const row = element("li", depth ? "" : "root");
    row.style.setProperty("--depth", Math.min(depth, 6));
    const name = Object.assign(element("input", "name"), { value: branch.name, maxLength: 80, ariaLabel: "Name of the branch" });
    name.addEventListener("change", () => {
      branch.name = name.value.trim() || branch.name;
      name.value = branch.name;
      this.save();
      this.draw();
    });
    const line = element("button", "line");
    line.append(element("span", "past"), element("span", "own"), element("span", "head"));
    line.addEventListener("click", (event) => {
      const { left, width } = line.getBoundingClientRect();
      const share = event.detail ? (event.clientX - left) / width : branch.at / this.longest; // by keyboard: where it begins
      this.go(branch, Math.max(0, Math.min(share * this.longest, branch.length)));
    });
    const gone = Object.assign(element("button", "quiet remove", "×"), { title: "Remove this branch", ariaLabel: `Remove ${branch.name}` });
    gone.addEventListener("click", () => this.remove(branch));
    const node = element("span", "node");
    node.append(name);
    row.append(node, line, element("span", "words"), gone);
    this.rows.set(branch.id, row);
    return row;
  }

  /* How long each branch is by now, and where the listener is. */
  measure() {
    const { stage, all } = this;
    this.longest = Math.max(1, ...all.map(({ length }) => length));
    for (const branch of all) {
      const row = this.rows.get(branch.id);
      if (!row) continue;
      const isNow = branch.id === this.now;
      const share = (position) => `${(100 * position) / this.longest}%`;
      row.querySelector(".past").style.width = share(branch.at);
      row.querySelector(".own").style.left = share(branch.at);
      row.querySelector(".own").style.width = share(branch.length - branch.at);
      row.querySelector(".head").style.left = share(Math.min(stage.view.position, branch.length));
      if (isNow) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      row.querySelector(".line").setAttribute("aria-label", `Go on with ${branch.name}${isNow ? ", which plays" : ""}`);
      row.querySelector(".words").textContent = stage.view.words(branch.length);
    }
  }

  load() {
    const { now, branches } = recall(TAB, this.storage) ?? {};
    const found = (Array.isArray(branches) ? branches : []).slice(0, MOST).filter(isBranch);
    const known = new Set(found.map(({ id }) => id));
    // A parent is older than its child, so no branch is its own ancestor.
    for (const one of found) if (!(known.has(one.parent) && one.parent < one.id)) one.parent = null;
    this.now = now;
    return found;
  }

  save() {
    this.savedAt = performance.now();
    remember(TAB, this.storage, { now: this.now, branches: this.all });
  }

  get storage() {
    return `carousel-branches-${this.stage.view.title}`;
  }

  close() {
    this.save();
  }
}
