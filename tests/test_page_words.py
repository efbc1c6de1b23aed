"""The page's texts, and what all its views have in common: two languages, all widths, both colour schemes, no mouse."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import ROOT, resize
from pages import network
from playwright.sync_api import expect

slow = pytest.mark.slow
FOLDER = ROOT / "jaxmnist" / "page"
WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
SCRIPT = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js"))
HTML = (FOLDER / "page.html").read_text(encoding="utf-8")
VIEWS = ("draw", "train", "step", "race")
NAMES = {
    "jaxmnist", "3Blue1Brown", "MNIST", "mnist", "IDX", "JAX", "scikit-learn", "English", "best", "source", "it", "SGD",
    "sgd", "ReLU", "relu", "SiLU", "silu", "tanh", "softmax", "Ctrl", "gz", "Nesterov",
}  # fmt: skip
"""What a Korean text may have in Latin letters: names, and words in formulas and of files."""
VISIBLE = """() => {
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest("script, style, noscript, [lang=en]")) texts.push(walker.currentNode.data);
  }
  for (const element of document.querySelectorAll("body *")) {
    texts.push(element.ariaLabel ?? "", element.title ?? "", element.placeholder ?? "");
  }
  return texts;
}"""


def placeholders(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_every_text_is_in_both_languages_with_the_same_values():
    for key, texts in WORDS.items():
        assert texts.keys() == {"en", "ko"}, key
        assert placeholders(texts["en"]) == placeholders(texts["ko"]), key
        letters = re.sub(r"\{\w+\}", "", texts["en"])
        if re.search(r"[A-Za-z]{3,}", letters) and texts["en"] not in NAMES:
            assert re.search("[가-힣]", texts["ko"]) or texts["ko"] == texts["en"] == "Ctrl+Z", key


def test_every_text_that_is_named_exists_and_every_text_is_named():
    named = set(re.findall(r'data-(?:text|label|hint)="([\w.]+)"', HTML))
    named |= set(re.findall(r'words\(\s*"([\w.]+)"', SCRIPT))
    assert named <= WORDS.keys()
    strings = set(re.findall(r'"([a-z]+(?:\.\w+)+)"', SCRIPT)) | named
    begun = set(re.findall(r"`([a-z]+(?:\.\w+)*\.)\$\{", SCRIPT))
    unnamed = {key for key in WORDS if key not in strings and not key.startswith(tuple(begun))}
    assert unnamed <= {"title", "noscript"}, "texts that nothing shows"


def test_the_template_holds_no_text_of_its_own():
    body = re.sub(r"<(script|style|noscript|option)\b.*?</\1>", "", HTML[HTML.index("<body>") :], flags=re.DOTALL)
    assert re.sub(r"<[^>]*>", "", body).strip() == ""
    assert not re.search(r'\b(aria-label|title|placeholder|alt)="', body)


def visit(shown, view, language="en"):
    """Show a view, with something drawn or run, by keyboard."""
    address = f"#{view}?language={language}"
    shown.evaluate("(address) => (location.hash = address)", address)
    expect(shown.locator("nav a[aria-current=page]")).to_have_attribute("href", f"#{view}")
    if view != "race":
        shown.locator('#samples input[value="3"]').focus()
        shown.keyboard.press("Space")
        expect(shown.locator("#digit")).to_have_text(re.compile(r"\d"))


@slow
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_stays_english_in_korean(opened, view):
    shown = opened(network(dataset="mnist", test_accuracy=0.9, test_examples=10))
    visit(shown, view, "ko")
    left = set()
    for text in shown.evaluate(VISIBLE):
        left |= set(re.findall(r"\w*[A-Za-z][A-Za-z-]{2,}", text, re.ASCII)) - NAMES
    assert left == set()
    assert shown.locator("html").get_attribute("lang") == "ko"
    assert re.search("[가-힣]", shown.title())


@slow
def test_a_korean_browser_gets_korean_unless_the_address_says_otherwise(opened):
    assert opened(network(), locale="ko-KR").locator("html").get_attribute("lang") == "ko"
    shown = opened(network(), locale="ko-KR", address="#draw?language=en")
    assert shown.locator("html").get_attribute("lang") == "en"


@slow
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(opened, view):
    for scheme, width, language in (("light", 1280, "en"), ("dark", 360, "ko")):
        shown = opened(network(), color_scheme=scheme, viewport={"width": width, "height": 740})
        visit(shown, view, language)
        results = Axe().run(shown, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
        assert results.violations_count == 0, results.generate_report()


@slow
@pytest.mark.parametrize("view", VIEWS)
def test_no_width_scrolls_sideways(opened, view):
    shown = opened(network())
    for language in ("en", "ko"):
        visit(shown, view, language)
        for width in (360, 480, 760, 1024, 1120, 1440, 1920):
            resize(shown, width)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            outside = shown.evaluate(
                """() => [...document.querySelectorAll("main section *")].filter((element) => {
                  const { left, right, width } = element.getBoundingClientRect();
                  return width > 1 && !element.closest(".unseen") && (left < -0.5 || right > innerWidth + 0.5);
                }).map((element) => element.outerHTML.slice(0, 80))"""
            )
            assert outside == [], width


@slow
def test_the_views_are_reached_by_links_keyboard_and_address(opened):
    shown = opened(network(), address="#step?language=ko")
    main = shown.locator("main")
    expect(main).to_have_attribute("data-view", "step")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    expect(main).to_have_attribute("data-view", "draw")
    assert shown.locator("#language").input_value() == "ko"  # the link changes the view alone
    shown.locator("nav a", has_text="경주").click()
    expect(shown.locator("section.racing")).to_be_visible()
    assert shown.locator("section.draw").is_hidden()
    expect(shown).to_have_url(re.compile("#race.language=ko"))
    shown.go_back()
    expect(main).to_have_attribute("data-view", "draw")


@slow
@pytest.mark.parametrize(
    "address",
    ["#nosuch", "#draw?nosuch=1&language=fr&moment=99&sample=12", "#train?__proto__=1", "#?=", "#draw?network=7"],
)
def test_a_strange_address_shows_the_page_all_the_same(opened, address):
    shown = opened(network(), address=address)
    assert shown.locator("nav a[aria-current=page]").count() == 1
    assert shown.locator("html").get_attribute("lang") == "en"
    assert shown.locator("#moment").input_value() == "1"


@slow
def test_an_address_that_the_browser_refuses_for_now_is_written_later(opened):
    shown = opened(network())
    shown.evaluate("void (history.replaceState = () => { throw new DOMException('too many', 'SecurityError'); })")
    for choice in ("ko", "en", "ko"):
        shown.locator("#language").select_option(choice)
    assert "language" not in shown.url
    shown.evaluate("delete history.replaceState")
    expect(shown).to_have_url(re.compile("#draw[?]language=ko$"))


@slow
def test_a_link_restores_what_was_chosen(opened):
    shown = opened(network(), network(seed=3))
    shown.locator("#network").select_option("1")
    shown.locator('#samples input[value="4"]').check(force=True)
    shown.locator("#moment").focus()
    shown.keyboard.press("ArrowLeft")
    outputs = shown.evaluate("Array.from(jaxmnist.state().outputs)")
    address = shown.url.split("#")[1]
    again = opened(network(), network(seed=3), address=f"#{address}")
    assert again.evaluate("Array.from(jaxmnist.state().outputs)") == outputs
    assert again.locator("#reading").inner_text() == shown.locator("#reading").inner_text()
