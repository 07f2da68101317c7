"""The page as people, programs and assistants use it: real Chromium, real clients, one server for all."""

import csv
import io
import json
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from page_helpers import AXE, CHROMIUM, CHROMIUM_FLAGS, ROOT, Visit, needs_axe, needs_browser, served
from test_batch import write_input

from titlegen.novelty import FILE_NAME, KnownTitles
from titlegen.presets import PRESETS
from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, GenerationSettings, controls
from titlegen_ui.parts import FIRST_EXAMPLE
from titlegen_ui.texts import CATALOGUES

pytestmark = pytest.mark.browser

JA, EN = CATALOGUES["ja"], CATALOGUES["en"]


@pytest.fixture(scope="module")
def server(model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(model_dir, folder / "model", ignore=shutil.ignore_patterns("checkpoint-*"))
    KnownTitles(["猫は薬屋で眠る", "悪役令嬢の朝"]).save(folder / "model" / FILE_NAME)
    with served(folder / "model", folder / "server.log") as address:
        yield address


@pytest.fixture(scope="module")
def client(server):
    from gradio_client import Client

    return Client(server, verbose=False)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser, server):
    visits = []

    def begin(query="", **window):
        visits.append(Visit(browser, server, **window))
        return visits[-1].open(query)

    yield begin
    for one in visits:
        one.close()


# ---- programs (no browser) -------------------------------------------------------------------------------------------


def test_the_page_opens_before_the_model_is_loaded_and_programs_wait_for_it(server, client):
    with urllib.request.urlopen(server) as page:
        assert "default-src 'self'" in page.headers["content-security-policy"]
    titles = client.predict(FIRST_EXAMPLE, api_name="/generate")
    assert 1 <= len(titles) <= 5
    assert {"title", "score", "characters", "nearest", "similarity", "verdict"} <= set(titles[0])
    assert [t["score"] for t in titles] == sorted((t["score"] for t in titles), reverse=True)


def test_keyword_arguments_are_the_fields_of_the_settings(client):
    titles = client.predict(
        "猫の物語",
        method="sample",
        num_titles=3,
        seed=7,
        prefix="猫",
        max_length=12,
        forbidden_words="は",
        api_name="/generate",
    )
    again = client.predict(
        "猫の物語",
        method="sample",
        num_titles=3,
        seed=7,
        prefix="猫",
        max_length=12,
        forbidden_words="は",
        api_name="/generate",
    )
    assert titles == again
    assert all(t["title"].startswith("猫") and len(t["title"]) <= 12 and "は" not in t["title"] for t in titles)


@pytest.mark.parametrize(
    ("synopsis", "arguments", "words"),
    [
        ("", {}, "The synopsis is empty"),
        ("あ" * 100_000, {}, "100,000 characters"),
        ("猫", {"temperature": 0}, "temperature must be"),
        ("猫", {"num_titles": 50}, "num_titles must be a whole number from 1 to 20"),
        ("猫", {"num_titles": 12}, "raise num_beams"),
        ("猫", {"method": "magic"}, "method must be one of beam, sample, diverse"),
        ("猫", {"seed": "tomorrow"}, "seed must be"),
        ("猫", {"prefix": "あ" * 100}, "prefix must be"),
        (["猫"], {}, "must be text"),
    ],
)
def test_a_program_gets_one_sentence(client, synopsis, arguments, words):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError) as error:
        client.predict(synopsis, api_name="/generate", **arguments)
    assert words in str(error.value) and "Traceback" not in str(error.value)


def test_not_a_number_and_endless_bodies_are_refused_and_the_server_lives_on(server, client):
    values = GenerationSettings().to_dict() | {"temperature": float("nan")}
    body = json.dumps({"data": ["猫", *values.values()]})
    event = json.load(urllib.request.urlopen(post(f"{server}/gradio_api/call/generate", body.encode())))["event_id"]
    with urllib.request.urlopen(f"{server}/gradio_api/call/generate/{event}") as answer:
        assert "temperature must be a number from 0.1 to 2" in answer.read().decode()
    with pytest.raises((urllib.error.URLError, ConnectionError)) as refused:
        urllib.request.urlopen(post(f"{server}/gradio_api/call/generate", b"x" * 6_000_000), timeout=30)
    assert not isinstance(refused.value, urllib.error.HTTPError) or refused.value.code == 413
    assert client.predict("猫", num_titles=1, api_name="/generate")


def post(address, body):
    return urllib.request.Request(address, data=body, headers={"Content-Type": "application/json"})


def test_the_copied_curl_command_works(server, client):
    from titlegen_ui.api import parameter_names
    from titlegen_ui.links import Link, as_curl

    settings = GenerationSettings(method="sample", seed=3, num_titles=1, max_length=20)
    command = as_curl(Link("it's 猫", settings), parameter_names(), base=f"{server}/")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    expected = client.predict("it's 猫", method="sample", seed=3, num_titles=1, max_length=20, api_name="/generate")
    assert json.loads(done.stdout.split("data: ")[1].splitlines()[0]) == [expected]


def test_the_documented_endpoints_are_generate_and_explain_alone(server, client):
    endpoints = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/generate", "/explain"}
    parameters = {p["parameter_name"]: p for p in endpoints["/generate"]["parameters"]}
    assert list(parameters) == ["synopsis", *controls()]
    with urllib.request.urlopen(f"{server}/gradio_api/openapi.json") as answer:
        assert "/call/generate" in answer.read().decode()


def test_explain_for_programs(client):
    found = client.predict("猫が目を覚ますと", "猫の朝", api_name="/explain")
    assert len(found["attention"]) == len(found["tokens"]) and "が目を覚ますと" in "".join(found["source"])


def test_an_assistant_finds_described_tools_and_calls_one(server):
    async def talk():
        from mcp import ClientSession
        from mcp.client.streamable_http import streamable_http_client

        async with (
            streamable_http_client(f"{server}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            called = await session.call_tool("generate", {"synopsis": "猫が目を覚ますと", "num_titles": 2})
            refused = await session.call_tool("generate", {"synopsis": ""})
            return tools, called, refused

    import anyio

    # Playwright keeps a loop running in this thread.
    with ThreadPoolExecutor(1) as pool:
        tools, called, refused = pool.submit(anyio.run, talk).result(60)
    assert set(tools) == {"generate", "explain"}
    schema = tools["generate"].inputSchema["properties"]
    assert "小説家になろう" in tools["generate"].description
    assert schema["temperature"]["description"].startswith(controls()["temperature"].help["en"])
    assert not called.isError and "title" in called.content[0].text
    assert refused.isError and "synopsis is empty" in refused.content[0].text


# ---- people ------------------------------------------------------------------------------------------------------------


@needs_browser
def test_the_first_press_of_the_button_brings_titles(visit):
    person = visit()
    person.screenshot("desktop")
    assert person.page.input_value("#synopsis textarea") == FIRST_EXAMPLE
    person.write()
    titles = person.titles()
    assert 1 <= len(titles) <= 5
    person.page.click("#results .act.copy >> nth=0")
    person.page.wait_for_selector("#results .act.done")
    assert person.clipboard() == titles[0]
    assert person.page.locator("#results .badge").count() == len(titles)
    person.screenshot("results")


@needs_browser
def test_continuing_a_title(visit):
    person = visit()
    person.page.click("#mode label:has-text('続ける')")
    person.page.wait_for_selector("#synopsis", state="hidden")
    person.page.click("#examples-continue button:has-text('ウマ娘'), #examples-continue td:has-text('ウマ娘')")
    person.write()
    assert all(title.startswith("ウマ娘 プリティーダービー") for title in person.titles())
    person.page.click("#results .act.continue >> nth=0")
    first = person.titles()[0]
    person.page.wait_for_function(
        "t => document.querySelector('#prefix textarea, #prefix input').value === t", arg=first[:60]
    )
    person.screenshot("continue")


@needs_browser
def test_stop_keeps_what_is_written_and_frees_the_worker(visit, client):
    person = visit("?synopsis=猫&method=sample&num_titles=20&length=long&min_length=100")
    person.page.click("#stop")
    person.page.wait_for_selector("#results .run, #results .note")
    person.page.wait_for_selector("#write:visible")
    assert JA["stopped"] in person.page.inner_text("#results")
    assert client.predict("猫", num_titles=1, api_name="/generate")


@needs_browser
def test_only_controls_that_apply_are_enabled_and_reset_brings_the_defaults_back(visit):
    person = visit()
    page = person.page
    page.click("#details button >> nth=0")
    page.wait_for_selector("#temperature")
    for name, control in controls().items():
        assert control.label["ja"] in page.inner_text(f"#{name}"), name
        assert control.help["ja"] in page.inner_text(f"#{name}"), name
    assert page.is_enabled("#num_beams input[type=number]") and page.is_disabled("#temperature input[type=number]")
    page.click("#preset label:has-text('大暴走')")
    page.wait_for_selector("#temperature input[type=number]:enabled")
    assert page.is_disabled("#num_beams input[type=number]")
    wild = PRESETS["wild"].values["temperature"]
    assert float(page.input_value("#temperature input[type=number]")) == wild
    page.click("#dice")
    page.wait_for_function("() => Number(document.querySelector('#seed input').value) > 0")
    person.screenshot("details")
    page.click("#reset")
    page.wait_for_function("() => document.querySelector('#seed input').value === '0'")
    page.wait_for_selector("#num_beams input[type=number]:enabled")
    page.fill("#num_titles input[type=number]", "12")
    page.press("#num_titles input[type=number]", "Tab")
    page.wait_for_function("() => document.querySelector('#num_beams input[type=number]').value === '12'")


@needs_browser
def test_why_shows_where_the_model_looked(visit):
    person = visit()
    person.write()
    person.page.click("#results .act.why >> nth=0")
    person.page.wait_for_selector(".reasons .token")
    person.page.click(".reasons .token >> nth=0")
    assert "%" in person.page.inner_text(".reasons .others")
    looks = person.page.eval_on_selector_all(
        ".reasons .source span", "all => all.map(s => Number(s.style.getPropertyValue('--look')))"
    )
    assert max(looks) == 1 and looks[0] == 0
    person.screenshot("why")


@needs_browser
def test_a_link_reproduces_the_titles_for_someone_else(visit):
    person = visit()
    person.page.fill("#synopsis textarea", "竜と猫の & 物語\n二行目")
    person.page.click("#preset label:has-text('遊び心')")
    person.page.click("#method label:has-text('ひらめき')")
    person.write()
    person.page.click(".share summary")
    person.page.click(".share .act[data-kind=link]")
    person.page.wait_for_selector(".share .act.done")
    link = person.clipboard()
    assert link.startswith(person.address) and "method=sample" in link and "revision=" in link
    other = visit(link.removeprefix(person.address + "/"))
    other.page.wait_for_selector("#results .run")
    assert other.titles() == person.titles()
    assert other.page.input_value("#synopsis textarea") == "竜と猫の & 物語\n二行目"
    person.page.wait_for_selector(".share .act[data-kind=python]:not(.done)")
    person.page.click(".share .act[data-kind=curl]")
    person.page.wait_for_selector(".share .act[data-kind=curl].done")
    assert f"{person.address}/gradio_api/call/generate" in person.clipboard()


@needs_browser
def test_favourites_and_input_survive_a_reload_and_become_a_csv(visit):
    person = visit()
    person.page.fill("#synopsis textarea", "消えない物語")
    person.write()
    first = person.titles()[0]
    person.page.click("#results .act.favourite >> nth=0")
    person.page.reload()
    person.page.wait_for_selector("body[data-mode]")
    assert person.page.input_value("#synopsis textarea") == "消えない物語"
    person.tab(JA["tab.shelf"])
    person.page.wait_for_selector("#favourites .card")
    assert person.titles("#favourites") == [first]
    assert first in person.titles("#history")[0]
    person.screenshot("shelf")
    with person.page.expect_download() as download:
        person.page.click("[data-act=csv]")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert rows[0]["title"].lstrip("'") == first and rows[0]["synopsis"] == "消えない物語"
    person.page.click("#favourites [data-act=remove]")
    assert person.titles("#favourites") == []


@needs_browser
def test_too_long_is_red_before_the_button_is_pressed_and_a_sentence_after(visit):
    person = visit()
    person.page.fill("#synopsis textarea", "あ" * (MAX_SYNOPSIS_CHARACTERS + 1))
    person.page.wait_for_selector(".counter.too-long")
    assert JA["too_long"] in person.page.inner_text(".counter")
    person.page.click("#write")
    person.page.wait_for_selector("#results .note.error")
    assert "4,001字" in person.page.inner_text("#results")
    person.page.fill("#synopsis textarea", "")
    person.page.wait_for_selector(".counter:not(.too-long)")
    person.write(done="#results .note.error:has-text('空です')")


@needs_browser
def test_script_in_the_synopsis_and_in_a_beginning_is_text(visit):
    person = visit("?synopsis=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&prefix=%3Cb%3E猫")
    person.page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    person.page.wait_for_selector("#results .run")
    assert all(title.startswith("<b>猫") for title in person.titles())
    person.page.click("#results .act.why >> nth=0")
    person.page.wait_for_selector(".reasons .token")
    person.page.click("#results .act.favourite >> nth=0")
    person.tab(JA["tab.shelf"])
    person.page.wait_for_selector("#history .card")
    assert person.page.locator("img[src=x]").count() == 0


@needs_browser
def test_compare_shows_four_moods(visit):
    person = visit()
    person.tab(JA["tab.compare"])
    person.write("#compare-write", "#compared section:nth-child(4) .card .actions")
    assert person.page.locator("#compared section").count() == 4
    person.screenshot("compare")


@needs_browser
def test_a_file_comes_back_with_titles(visit, tmp_path):
    person = visit()
    person.tab(JA["tab.batch"])
    person.write("#batch-write", "#batch-status .note.error")
    assert "先にファイル" in person.page.inner_text("#batch-status")
    person.page.set_input_files("#batch-file input[type=file]", write_input(tmp_path / "synopses.csv"))
    person.page.wait_for_selector("#batch-file :text('synopses')")
    person.write("#batch-write", "#batch-result a[download], #batch-result a[href]")
    assert JA["batch.done"].format(total=10) in person.page.inner_text("#batch-status")
    with person.page.expect_download() as download:
        person.page.click("#batch-result a >> nth=0")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert len(rows) == 10 and all(row["title_1"] for row in rows)
    person.screenshot("batch")


@needs_browser
def test_a_file_that_is_not_what_its_name_says(visit, tmp_path):
    person = visit()
    person.tab(JA["tab.batch"])
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    person.page.set_input_files("#batch-file input[type=file]", tmp_path / "picture.csv")
    person.page.wait_for_selector("#batch-file :text('picture')")
    person.write("#batch-write", "#batch-status .note.error")
    assert "文字のファイルではありません" in person.page.inner_text("#batch-status")


@needs_browser
def test_english_by_the_browsers_language(visit):
    person = visit(locale="en-US")
    assert person.page.inner_text("#write") == EN["write"]
    assert EN["tagline"] in person.page.inner_text(".hero") and JA["tagline"] not in person.page.inner_text(".hero")
    person.page.fill("#synopsis textarea", "")
    person.write(done="#results .note.error")
    assert "The synopsis is empty" in person.page.inner_text("#results")
    person.page.fill("#synopsis textarea", FIRST_EXAMPLE)
    person.write()
    assert EN["copy"] in person.page.inner_text("#results") and JA["copy"] not in person.page.inner_text("#results")
    person.screenshot("english")


@needs_browser
def test_a_phone_of_360_pixels_needs_no_sideways_scrolling(visit):
    person = visit(width=360, height=740)
    person.page.wait_for_selector("#status:not(:has(.note))", state="attached")  # the model is loaded
    assert person.page.locator("#write").bounding_box()["y"] < 740  # the button is in sight
    person.write()
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 360
    person.screenshot("phone")


@needs_browser
def test_the_keyboard_alone_is_enough(visit):
    person = visit()
    page = person.page
    page.focus("#synopsis textarea")
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "write":
            break
    assert page.evaluate("document.activeElement.id") == "write"
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .run")
    page.wait_for_selector("#write:visible")
    page.focus("#results .act.favourite >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .act.favourite[aria-pressed=true]")
    page.focus("#mode input >> nth=1")
    page.keyboard.press("Space")
    page.wait_for_selector("body[data-mode=continue]")


@needs_browser
@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_rules_find_nothing_serious(visit, scheme):
    person = visit(scheme=scheme)
    person.write()
    person.page.click("#results .act.why >> nth=0")
    person.page.wait_for_selector(".reasons .token")
    if scheme == "dark":
        person.screenshot("dark")
    person.page.click("#details button >> nth=0")
    person.page.wait_for_selector("#temperature")
    person.page.click(".share summary")
    person.tab(JA["tab.compare"])
    person.write("#compare-write", "#compared section:nth-child(4) .card .actions")
    person.page.evaluate(AXE.read_text())
    found = []
    for name in ("tab.write", "tab.compare", "tab.batch", "tab.shelf", "tab.model"):
        person.tab(JA[name])
        person.page.wait_for_timeout(250)
        result = person.page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']})")
        found += [
            (name, v["id"], v["nodes"][0]["html"][:160], v["nodes"][0]["failureSummary"][:300])
            for v in result["violations"]
            if v["impact"] in ("serious", "critical")
        ]
    assert found == []


@needs_browser
def test_the_model_tab_tells_what_is_loaded(visit):
    person = visit()
    person.tab(JA["tab.model"])
    person.page.wait_for_selector("#model dl")
    text = person.page.inner_text("#model")
    assert "ROUGE-L" in text and "trust_remote_code=True" in text and f"{person.address}/gradio_api/mcp/" in text
    assert not any(str(folder) in text for folder in (ROOT, Path.home(), tempfile.gettempdir()))
    person.screenshot("model")


# ---- states that a healthy server does not show ------------------------------------------------------------------------


@needs_browser
def test_loading_queue_and_a_lost_server_each_have_a_sentence(browser, pipe):
    from app import build_page, launch
    from titlegen_ui.model_info import ModelInfo
    from titlegen_ui.service import TitleService

    gate, slow = threading.Event(), threading.Event()

    class Slow:
        """The real pipeline, waiting before it writes until it is allowed to."""

        def __call__(self, *arguments, **settings):
            slow.wait(60)
            return pipe(*arguments, **settings)

    service = TitleService(lambda: gate.wait(60) and Slow(), lambda p: ModelInfo("m", "r", 1, 64)).start()
    page = build_page(service, queue_size=1)
    _, address, _ = launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", server_port=None)
    visits = [Visit(browser, address.rstrip("/")).open() for _ in range(3)]
    try:
        first, second, third = visits
        assert JA["loading"] in first.page.inner_text("#status")
        gate.set()
        first.page.wait_for_selector("#status:not(:has(.note))", state="attached")
        first.page.click("#write")
        first.page.wait_for_selector("#results .progress")
        second.page.click("#write")
        second.page.wait_for_selector(f"#waiting:has-text('{JA['waiting'][:12]}'):has-text('1 / 1')")
        third.page.click("#write")
        third.page.wait_for_selector(f"text={JA['queue_full'][:12]} >> visible=true")
        third.screenshot("queue_full")
        page.close(verbose=False)
        first.page.wait_for_selector(f"text={JA['lost'][:12]} >> visible=true")
        assert first.page.input_value("#synopsis textarea") == FIRST_EXAMPLE
        first.page.wait_for_selector("#write:visible")  # there is a button to press again
        first.screenshot("lost")
    finally:
        slow.set()
        page.close(verbose=False)
        for one in visits:
            one.context.close()


@needs_browser
def test_a_broken_link_says_so_and_writes_nothing(visit):
    person = visit("?z=AAAA")
    person.page.wait_for_selector("#status .note.error")
    person.page.wait_for_timeout(3000)  # the model's state is looked at meanwhile
    assert "リンクを読み取れません" in person.page.inner_text("#status") and not person.titles()


@needs_browser
def test_a_link_of_another_revision_says_so_and_writes_all_the_same(visit):
    person = visit("?synopsis=猫の薬屋&model=m&revision=old")
    person.page.wait_for_selector("#results .run")
    person.page.wait_for_timeout(3000)
    assert JA["link.other"][:12] in person.page.inner_text("#status")


@needs_browser
def test_what_was_typed_last_survives_a_reload_whatever_it_was(visit):
    person = visit("?synopsis=猫の薬屋")
    person.page.wait_for_selector("#results .run")
    person.page.fill("#synopsis textarea", "犬の本屋")
    person.page.wait_for_timeout(300)
    person.page.goto(person.page.url)
    person.page.wait_for_selector("body[data-mode]")
    assert person.page.input_value("#synopsis textarea") == "犬の本屋"
    person.page.check("#mode input[value=continue]")
    person.page.fill("#prefix textarea, #prefix input", "猫の")
    person.page.wait_for_timeout(300)
    person.page.reload()
    person.page.wait_for_selector("body[data-mode=continue]")
    assert person.page.input_value("#prefix textarea, #prefix input") == "猫の"


@needs_browser
def test_a_mood_keeps_as_many_beams_as_titles_and_reset_lets_it_go(visit):
    person = visit()
    person.page.fill("#num_titles input[type=number]", "8")
    person.page.keyboard.press("Tab")
    person.page.check("#preset input[value=terse]")
    person.page.wait_for_timeout(800)
    person.write()
    assert not person.page.locator("#results .note.error").count()
    person.page.click("text=" + JA["details"])
    assert person.page.is_disabled("#seed input") and person.page.is_disabled("#dice")
    person.page.click("#reset")
    person.page.wait_for_selector("#preset input:checked", state="detached")


def test_no_model_code_in_the_page_and_no_page_code_in_the_model():
    for path in (ROOT / "titlegen").glob("*.py"):
        assert not re.search(r"^\s*(import|from) (gradio|titlegen_ui)", path.read_text("utf-8"), re.M), path
    for path in [ROOT / "app.py", *(ROOT / "titlegen_ui").glob("*.py")]:
        assert not re.search(r"^\s*(import|from) (torch|transformers)", path.read_text("utf-8"), re.M), path
