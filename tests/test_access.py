"""The app for everybody: by keyboard alone, in both themes, on any screen, under any path, for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, WebSocketRoute

from generator.music.engraving import spelled
from generator.music.score import Note, PieceEnd
from generator.streaming.engine import load
from generator.web.live_music import LiveMusic
from tests.browser import Visit, server

STREAMLIT_LOOKS_FOR_ITSELF = "404 (Not Found)"
"""Streamlit asks for its health below the path of a page, before it asks at the root."""
OF_STREAMLIT = {
    ("presentation-role-conflict", "stFileUploaderDropzone"),  # a drop zone with a name, without a role
}
"""What axe finds in Streamlit's own parts: its rule, and the part."""

ALTERNATIVES = "**/carousel/alternatives"


def focused(visit: Visit) -> str:
    """The class or the tag of what has the keyboard's focus, also within the stage."""
    script = "() => { const at = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;"
    found: str = visit.page.evaluate(script + "return at.className || at.tagName; }")
    return found


@pytest.mark.slow
def test_the_app_works_under_a_base_path(browser: Browser, folder: Path, tmp_path: Path) -> None:
    """On both pages, and after one of them is loaded anew."""
    with server(folder, tmp_path / "log.txt", base="/carousel-demo") as url:
        visit = Visit(browser, url)
        visit.start()
        visit.turn_to("text")
        visit.start()
        assert visit.complaints == []
        visit.page.reload()
        visit.page.locator(".text").wait_for()
        visit.page.locator(".play[aria-disabled=false]").wait_for()
        assert visit.page.url == f"{url}/text"
        visit.until("c.state === 'playing' && c.pulls > 0")
        visit.close()
        assert [line for line in visit.complaints if STREAMLIT_LOOKS_FOR_ITSELF not in line] == []


def test_music_by_keyboard_alone(visit: Visit) -> None:
    """Each key does what its button does, and no button loses the focus when it cannot be pressed for a while."""
    keys = visit.page.keyboard
    keys.press("k")
    visit.until("c.state === 'playing' && c.firstSound !== null")
    assert focused(visit) == "BODY"
    keys.press("Space")
    visit.until("c.state === 'paused'")
    keys.press("Space")
    visit.until("c.state === 'playing' && c.position > 1")
    take = visit.report["take"]
    keys.press("b")
    visit.until(f"c.state === 'playing' && c.take > {take} && c.sequence > 0")
    seed = visit.report["options"]["seed"]
    visit.page.wait_for_function(f"() => document.querySelector('[aria-label=Seed]').value === '{seed}'")
    visit.page.locator(".keep[aria-disabled=false]").wait_for()
    keys.press("s")
    assert visit.page.locator(".kept .name").inner_text() == f"tune, seed {seed}"
    volume = visit.page.get_by_label("Volume")
    keys.press("-")
    assert volume.input_value() == "0.7"
    keys.press("+")
    assert volume.input_value() == "0.8"
    keys.press("Escape")
    visit.until("c.state === 'idle'")
    keys.press("?")
    dialogue = visit.page.get_by_role("dialog", name="Keys")
    dialogue.wait_for()
    keys.press("Escape")
    dialogue.wait_for(state="hidden")
    for _ in range(60):
        if focused(visit) == "play":
            break
        keys.press("Tab")
    keys.press("Enter")
    visit.until("c.state === 'playing' && c.firstSound !== null && c.position > 1")
    assert focused(visit) == "play"
    for button, state in (("stop", "idle"), ("back", "playing")):
        visit.page.locator(f".{button}").focus()
        keys.press("Enter")
        visit.until(f"c.state === '{state}'")
        assert focused(visit) == button
    visit.page.locator(".remove").focus()
    keys.press("Enter")
    visit.page.locator(".kept li").wait_for(state="detached")
    assert focused(visit) == "keep"


def test_fields_keep_their_keys(visit: Visit) -> None:
    """What is typed into a field, or moves a slider, is no command; and the keys can be turned off."""
    visit.page.get_by_label("Seed", exact=True).press("k")
    visit.page.get_by_role("slider", name="Temperature").press("k")
    visit.page.locator(".stop").focus()
    visit.page.keyboard.press("Space")
    visit.page.get_by_role("button", name="Keys").click()
    visit.page.get_by_label("Use these keys").uncheck()
    visit.page.keyboard.press("Escape")
    visit.page.keyboard.press("k")
    assert visit.report["state"] == "idle"


def test_what_is_open_or_picked_takes_escape_before_the_music(visit: Visit) -> None:
    """Help that Streamlit shows, a card that still looks and a note: each Escape closes one of them, and only the last
    one stops."""
    keys, page = visit.page.keyboard, visit.page
    visit.start()
    visit.until("c.position > 1")
    help_shown = page.get_by_role("tooltip")
    page.get_by_role("button", name="Help for Temperature").hover()
    help_shown.wait_for()
    keys.press("Escape")
    help_shown.wait_for(state="hidden")
    page.locator(".view canvas").first.focus()
    keys.press("ArrowLeft")
    held: list[Route] = []
    page.route(ALTERNATIVES, lambda route: held.append(route))
    with page.expect_request(ALTERNATIVES):
        keys.press("Enter")
    card = page.get_by_role("dialog", name="What else could have come")
    card.wait_for()
    keys.press("Escape")
    card.wait_for(state="hidden")
    with page.expect_response(ALTERNATIVES) as answer:  # which does not open the card again
        held[0].continue_()
    answer.value.finished()
    assert card.is_hidden()
    keys.press("Escape")
    assert visit.report["state"] == "playing"
    keys.press("Escape")
    assert visit.report["state"] == "idle"


def test_playing_is_said_aloud_and_nothing_more(visit: Visit) -> None:
    aloud = visit.page.locator(".aloud")
    assert aloud.inner_text() == ""
    visit.start()
    said = [aloud.inner_text()]
    for key in ("k", "k", "Escape"):
        visit.page.keyboard.press(key)
        said.append(aloud.inner_text())
    assert said == ["Playing", "Paused", "Playing", "Stopped"]


SPELL = """async () => {
  const { noteName } = await import("/carousel/static/names.js");
  const found = {};
  for (let sharps = -7; sharps <= 7; sharps++) {
    for (let pitch = 21; pitch <= 108; pitch++) found[`${pitch} ${sharps}`] = noteName(pitch, sharps);
  }
  return found;
}"""


def test_notes_are_spelled_in_the_key_as_in_the_engraved_score(blank: Page) -> None:
    found = blank.evaluate(SPELL)
    assert len(found) == 15 * 88
    for where, name in found.items():
        pitch = spelled(*map(int, where.split()))
        assert name == pitch.nameWithOctave.replace("-", "♭").replace("#", "♯"), where
    assert [found[f"{pitch} -5"] for pitch in (65, 68, 61)] == ["F4", "A♭4", "D♭4"]


def test_the_page_spells_in_the_key_that_is_asked_for(visit: Visit) -> None:
    visit.page.get_by_text("Constraints").click()
    visit.page.get_by_role("combobox", name="Key").click()
    visit.page.get_by_role("option", name="D♭ major").click()
    visit.start()
    visit.until("c.sharps === -5")


def test_without_a_key_the_likeliest_one_of_the_piece_spells(folder: Path) -> None:
    """Of D flat major, then, in the next piece, of A major; a key that is asked for goes before."""
    model = load(folder / "tune")
    live = LiveMusic(model.stream(seed=1), "a")
    for tonic, sharps in ((61, -5), (69, 3)):
        live._remember(0, [Note(0, 4, tonic + step) for step in (0, 0, 2, 4, 5, 7, 7, 9, 11)])
        assert live._sharps() == sharps
        live._remember(0, [PieceEnd(4)])
    assert LiveMusic(model.stream(seed=1, key="E minor"), "a")._sharps() == 1


def findings(visit: Visit) -> set[tuple[str, str]]:
    """What axe finds, as rule and element, without what is Streamlit's alone."""
    visit.page.emulate_media(reduced_motion="reduce")  # colours that are on their way have another contrast
    response: dict[str, Any] = Axe().run(visit.page).response
    found = {(rule["id"], node["html"]) for rule in response["violations"] for node in rule["nodes"]}
    return {
        (rule, html) for rule, html in found if not any(rule == known and part in html for known, part in OF_STREAMLIT)
    }


SIZES = [(640, 400), (844, 390), (320, 640)]
PAIRS = [("music", 390, "light"), ("music", 1280, "dark"), ("text", 390, "dark"), ("text", 1280, "light")]
OTHERS = [("music", 390, "dark"), ("music", 1280, "light"), ("text", 390, "light"), ("text", 1280, "dark")]


@pytest.mark.parametrize(
    ("medium", "width", "scheme"), [*PAIRS, *(pytest.param(*other, marks=pytest.mark.slow) for other in OTHERS)]
)
def test_axe_finds_nothing(browser: Browser, url: str, medium: str, width: int, scheme: str) -> None:
    """Before the start, while it plays with a kept take, and in the dialogue."""
    visit = Visit(browser, f"{url}/{medium if medium == 'text' else ''}", width, color_scheme=scheme)
    assert findings(visit) == set()
    assert visit.page.get_by_role("heading", level=1).inner_text() == medium.capitalize()
    visit.start()
    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    assert findings(visit) == set()
    visit.press("keys")
    assert findings(visit) == set()
    visit.close()


@pytest.mark.parametrize("medium", ["music", "text"])
def test_start_is_in_sight(browser: Browser, url: str, medium: str) -> None:
    """Nothing is wider than the screen, and no button lies on another: at 200 %, and on a telephone both ways."""
    visit = Visit(browser, f"{url}/{medium if medium == 'text' else ''}", *SIZES[0])
    visit.start()
    for size in SIZES:
        visit.page.set_viewport_size({"width": size[0], "height": size[1]})
        visit.page.wait_for_timeout(300)  # the page lays itself out again
        all_is_in_sight(visit, size)
    visit.close()


def all_is_in_sight(visit: Visit, size: tuple[int, int]) -> None:
    """Whether the page shows all buttons of the stage."""
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    start = visit.page.locator(".play").bounding_box()
    assert start and start["y"] >= 0 and start["y"] + start["height"] <= size[1]
    boxes = [box for item in visit.page.locator(".bar > *, .view").all() if (box := item.bounding_box())]
    for number, one in enumerate(boxes):
        assert one["x"] >= 0 and one["x"] + one["width"] <= size[0]
        for other in boxes[:number]:
            apart = any(
                one[edge] + one[side] <= other[edge] + 0.5 or other[edge] + other[side] <= one[edge] + 0.5
                for edge, side in (("x", "width"), ("y", "height"))
            )
            assert apart, (one, other)


def test_a_file_that_is_too_large_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "large.mid").write_bytes(bytes(6_000_000))
    visit.page.locator("input[type=file]").last.set_input_files(tmp_path / "large.mid")
    words = visit.page.get_by_role("alert").filter(has_text="5.0MB or smaller")
    box = words.bounding_box()
    assert (
        box
        and box["height"] > 12
        and box["width"] > 100
        and "inset" not in words.evaluate("words => getComputedStyle(words).clipPath")
    )


WATCH = """() => {
  window.seen = { stale: false, faintest: 1 };
  const look = () => {
    let element = document.querySelector(".st-key-music-stage");
    window.seen.stale ||= element?.dataset.stale === "true";
    let opacity = 1;
    for (; element; element = element.parentElement) opacity *= Number(getComputedStyle(element).opacity);
    window.seen.faintest = Math.min(window.seen.faintest, opacity);
    requestAnimationFrame(look);
  };
  look();
}"""


def test_the_stage_does_not_dim_while_the_page_runs_again(visit: Visit) -> None:
    """The run stops in the middle here: the server's words reach the page only in part."""
    let_through = [10_000]

    def between(page: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            let_through[0] -= 1
            if let_through[0] >= 0:
                page.send(message)

        page.connect_to_server().on_message(pass_on)

    visit.page.route_web_socket("**/_stcore/stream", between)
    visit.page.reload()
    visit.page.locator(".play[aria-disabled=false]").wait_for()
    visit.page.locator("[data-test-script-state=notRunning]").wait_for()
    visit.page.evaluate(WATCH)
    let_through[0] = 3
    visit.page.get_by_role("slider", name="Temperature").press("ArrowLeft")
    visit.page.wait_for_function("() => window.seen.stale")
    visit.page.wait_for_timeout(3000)
    assert visit.page.evaluate("window.seen.faintest") == 1


def test_the_stage_follows_the_theme(browser: Browser, url: str) -> None:
    """Also when it changes while music plays."""
    visit = Visit(browser, url, color_scheme="light")
    visit.start()
    colour = "getComputedStyle(document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
    voice = f"{colour}.querySelector('.music')).getPropertyValue('--voice-0')"
    assert visit.page.evaluate(voice) == "#8a5a00"
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_function(f"() => {voice} === '#e8b75a'")
    visit.close()


ROLL = """async () => {
  const { Roll } = await import("/carousel/static/roll.js");
  const canvas = document.body.appendChild(document.createElement("canvas"));
  canvas.style = "width: 600px; height: 200px; --st-background-color: #000000; --ink: #ffffff; --gold: #ffcc00";
  let now = 0;
  const roll = new Roll(canvas, () => now, "");
  roll.begun = true;
  const bars = [];
  roll.drawBars = (context, x) => bars.push(x(0));
  roll.resize();
  for (now of [8, 8.5, 9]) roll.draw();
  roll.close();
  return bars.slice(-3).map(Math.round);
}"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_roll_stands_still_where_motion_is_not_wanted(blank: Page, motion: Any) -> None:
    blank.emulate_media(reduced_motion=motion)
    places = blank.evaluate(ROLL)
    assert (len(set(places)) == 1) == (motion == "reduce")
