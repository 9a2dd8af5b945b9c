"""What a page says in markup alone: formulas, exponents, hidden parts and code, as text that stays, or is left out."""

import time

import pytest

from tasks.ingest.extraction.kinds import Extraction, Resiliparse, Trafilatura, extract

BEFORE = (
    "The surveyors walked along the old canal for three days, measured every lock and every bridge, and wrote down what "
    "the keepers told them about the floods of the last forty years."
)
AFTER = (
    "Their notes fill eleven volumes, which are kept in the town hall and may be read by anybody who asks for the key, "
    "although hardly anybody has done so since the railway was opened."
)
METHODS = [Trafilatura(), Trafilatura(focus="balanced"), Trafilatura(focus="recall", fast=True)]


def text_of(markup: str, extraction: Extraction | None = None) -> str:
    """The text between two paragraphs of an article."""
    html = (
        "<!DOCTYPE html><html lang=en><head><title>t</title></head><body><nav><a href=/>Home</a> <a href=/x>More</a></nav>"
        f"<main><article><h1>The canal</h1><p>{BEFORE}</p>{markup}<p>{AFTER}</p></article></main>"
        "<footer>Imprint</footer></body></html>"
    )
    text = extract(html, extraction or Trafilatura()).text
    assert BEFORE in text and AFTER in text
    return text.split(BEFORE)[1].split(AFTER)[0].strip("\n")


@pytest.mark.parametrize("extraction", [*METHODS, Resiliparse()])
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("about 10<sup>15</sup> cells in H<sub>2</sub>O", "about 10^15 cells in H_2O"),
        ("a field of 40 km<sup>2</sup> and 10<sup>-3</sup> of it", "a field of 40 km^2 and 10^-3 of it"),
        ("x<sub>n+1</sub> follows from <i>x</i><sub>n</sub>", "x_{n+1} follows from x_n"),
        ("(a + b)<sup>2</sup> is positive here", "(a + b)^2 is positive here"),
        ("x<sub>i<sup>2</sup></sub> is nested in there", "x_{i^2} is nested in there"),
        ("ions of Na<sup>+</sup> and of Ca<sup>2+</sup> in water", "ions of Na^+ and of Ca^{2+} in water"),
        ("the 21<sup>st</sup> of the 3<sup>rd</sup> month, M<sup>me</sup> B", "the 21st of the 3rd month, Mme B"),
        ("as was said.<sup>3</sup> It was the keeper<sup>12</sup> who", "as was said.[3] It was the keeper[12] who"),
        ('as was said<sup><a href="#n3">3</a></sup> by the keeper', "as was said[3] by the keeper"),
        ('as was told<sup class="reference"><a href="#c">[7]</a></sup> to us', "as was told[7] to us"),
        ("<sup>3</sup>Said by the keeper of the lock", "3 Said by the keeper of the lock"),
        (
            "<sup>this whole sentence is set small and high above the line</sup> there",
            "this whole sentence is set small",
        ),
    ],
)
def test_what_stands_above_or_below_the_line_does_not_fuse_with_what_it_stands_at(
    markup: str, text: str, extraction: Extraction
) -> None:
    assert text in text_of(f"<p>Along the way they found {markup}, and noted it in their books.</p>", extraction)


KATEX = (
    '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><msup><mi>a</mi><mn>2</mn></msup></mrow>'
    '<annotation encoding="application/x-tex">a^2</annotation></semantics></math></span>'
    '<span class="katex-html" aria-hidden="true"><span class="base">a2</span></span></span>'
)
ASSISTIVE = (
    '<mjx-container class="MathJax" jax="CHTML"><mjx-math aria-hidden="true"><mjx-mi>k</mjx-mi></mjx-math>'
    "<mjx-assistive-mml><math><msup><mi>k</mi><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup></math>"
    "</mjx-assistive-mml></mjx-container>"
)
WIKI = (
    '<span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display: none;">'
    '<math alttext="{\\displaystyle \\varphi }"><mi>φ</mi></math></span>'
    '<img class="mwe-math-fallback-image-inline" aria-hidden="true" alt="{\\displaystyle \\varphi }"></span>'
)


@pytest.mark.parametrize("extraction", [*METHODS, Resiliparse()])
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<script type='math/tex'>T^2=a^3</script>", r"\(T^2=a^3\)"),
        ("<script type='math/tex; mode=display'>T^2 =\n a^3</script>", r"\[T^2 = a^3\]"),
        (
            "<span class='MathJax_Preview'>T2</span><span class='MathJax'>T2=a3</span><script type='math/tex'>T^2</script>",
            r"\(T^2\)",
        ),
        (KATEX, r"\(a^2\)"),
        (f'<span class="katex-display">{KATEX}</span>', r"\[a^2\]"),
        (ASSISTIVE, r"\(k^{n+1}\)"),
        (WIKI, r"\(\varphi\)"),
        (
            '<math display="block"><mfrac><mi>a</mi><msub><mi>b</mi><mn>1</mn></msub></mfrac></math>',
            r"\[\frac{a}{b_1}\]",
        ),
        ('<img class="latex" alt="x^2" src="t.png">', r"\(x^2\)"),
    ],
)
def test_a_formula_is_its_source_once(markup: str, text: str, extraction: Extraction) -> None:
    found = text_of(f"<p>The period obeys {markup} for every lock that was measured along the way.</p>", extraction)
    assert " ".join(found.split()) == f"The period obeys {text} for every lock that was measured along the way."


def test_a_displayed_formula_between_paragraphs_stays() -> None:
    assert text_of("<script type='math/tex; mode=display'>E = m c^2</script>") == r"\[E = m c^2\]"


@pytest.mark.parametrize("extraction", METHODS)
@pytest.mark.parametrize(
    "opening",
    [
        "<p hidden>",
        "<div style='color:red; DISPLAY : none'>",
        "<p style='visibility:hidden'>",
        "<template>",
        "<noscript>",
    ],
)
def test_what_a_reader_does_not_see_is_left_out(opening: str, extraction: Extraction) -> None:
    tag = opening.strip("<>").split()[0]
    seen = "<p>One of the keepers had served for fifty years and had never been to the sea.</p>"
    secret = "Buy our cheap replica watches today, with free shipping to every lock along the whole canal."
    assert secret not in text_of(f"{seen}{opening}{secret}</{tag}>{seen}", extraction)


@pytest.mark.parametrize(
    "opening",
    ['<div role="tabpanel" hidden>', '<div role="tabpanel" style="display:none">', '<div hidden="until-found">'],
)
def test_what_a_click_shows_is_kept(opening: str) -> None:
    answer = "The gate of the second lock is opened by hand, with a crank that hangs on the wall of the hut."
    assert answer in text_of(f"<h2>The gate</h2>{opening}<p>{answer}</p></div>")


@pytest.mark.parametrize("around", ["<body style='visibility:hidden'>{}</body>", "<div style='display:none'>{}</div>"])
def test_a_page_that_is_hidden_until_its_script_has_run_is_read(around: str) -> None:
    article = "".join(f"<p>{sentence}</p>" for sentence in (BEFORE, AFTER) * 3)
    assert BEFORE in extract(f"<html>{around.format(f'<div id=app>{article}</div>')}</html>", Trafilatura()).text


CODE = 'def lock(gates, level=0):\n\n    for gate in gates:\n\tif gate.open:  # both\n            gate.close("slowly")'
LINES = CODE.split("\n")
SPANS = "\n".join(f"<span>{line}</span>" for line in LINES)


def _rows(row: str, lines: list[str]) -> str:
    return "".join(row.format(number=number, line=line or "\n") for number, line in enumerate(lines, 1))


LISTINGS = {
    "plain": f"<pre>{CODE}</pre>",
    "highlighted": f'<div class="highlight"><pre><code>{SPANS}</code></pre></div>',
    "line anchors": '<div class="highlight"><pre><span></span>'
    + "\n".join(f'<a id="l-{i}" href="#l-{i}"></a>{line}' for i, line in enumerate(LINES))
    + "</pre></div>",
    "inline numbers": "<pre>"
    + "\n".join(f'<span class="linenos">{i}</span>{line}' for i, line in enumerate(LINES, 1))
    + "</pre>",
    "Pygments table": '<table class="highlighttable"><tr><td class="linenos"><div class="linenodiv"><pre>1\n2\n3\n4\n5</pre>'
    f'</div></td><td class="code"><div><pre>{CODE}</pre></div></td></tr></table>',
    "GitHub": "<table><tbody>"
    + _rows(
        '<tr>\n<td class="blob-num" data-line-number="{number}"></td>\n<td class="blob-code">{line}</td>\n</tr>', LINES
    )
    + "</tbody></table>",
    "highlight.js": '<pre><code class="hljs"><table class="hljs-ln"><tbody>'
    + _rows(
        '<tr><td class="hljs-ln-numbers"><div class="hljs-ln-n" data-line-number="{number}"></div></td><td>{line}</td></tr>',
        LINES,
    )
    + "</tbody></table></code></pre>",
    "Hexo": '<figure class="highlight python"><table><tr><td class="gutter"><pre>1<br>2<br>3<br>4<br>5<br></pre></td>'
    f'<td class="code"><pre>{CODE.replace(chr(10), "<br>")}</pre></td></tr></table></figure>',
    "Prism toolbar": f'<div class="code-toolbar"><pre><code>{CODE}</code></pre>'
    '<div class="toolbar"><button>Copy</button></div></div>',
    "figure": f"<figure><figcaption></figcaption><pre>{CODE}</pre></figure>",
    "token lines": "<pre><code>" + "".join(f'<div class="token-line">{line}</div>' for line in LINES) + "</code></pre>",
    "line breaks": f"<pre><code>{CODE.replace(chr(10), '<br>')}</code></pre>",
}


@pytest.mark.parametrize("extraction", METHODS)
@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
def test_code_keeps_its_lines_and_indentation_and_loses_its_line_numbers(listing: str, extraction: Extraction) -> None:
    assert text_of(f"<p>The keeper wrote:</p>{listing}", extraction) == f"The keeper wrote:\n{CODE}"


def test_code_in_rows_of_syntaxhighlighter_is_read_without_its_gutter() -> None:
    lines = "".join(f'<div class="line"><code>{line.replace(" ", "&nbsp;")}</code></div>' for line in LINES)
    gutter = "".join(f'<div class="line number{i}">{i}</div>' for i in range(1, 6))
    row = f'<td class="gutter">{gutter}</td><td class="code"><div class="container">{lines}</div></td>'
    assert text_of(f'<div class="syntaxhighlighter"><table><tr>{row}</tr></table></div>') == CODE


def test_breaks_in_code_outside_of_pre_are_line_ends() -> None:
    markup = "<p>Type <code>open<br>\n&nbsp; wait<br>close</code> and the lock will obey you.</p>"
    assert text_of(markup) == "Type open\n  wait\nclose and the lock will obey you."


def test_a_table_of_data_beside_a_gutter_of_the_layout_stays_a_table() -> None:
    rows = '<tr><td class="gutter"></td><td>Lock</td><td>Height</td></tr><tr><td></td><td>First</td><td>3 m</td></tr>'
    found = text_of(f"<table>{rows}</table>")
    assert "| Lock | Height |" in found and "| First | 3 m |" in found


def test_a_page_set_in_a_typewriters_face_is_no_listing() -> None:
    found = text_of("<pre><h2>The first lock</h2><p>It was built of oak.</p><p>It was rebuilt of stone.</p></pre>")
    assert found.split("\n") == ["The first lock", "It was built of oak.", "It was rebuilt of stone."]


@pytest.mark.parametrize(
    "markup",
    ["<p>x" + "<sup>2</sup>" * 30_000, "<pre>" * 50_000, "<div hidden>" * 50_000, "<sub>" * 50_000, "<math>" * 20_000,
     "<table><tr><td class=gutter>1" * 20_000, "<code><br>" * 20_000, "<div class=comment><p>" * 20_000],
    ids=lambda markup: markup[:24],
)  # fmt: skip
def test_the_pass_over_markup_takes_linear_time(markup: str) -> None:
    from trafilatura.utils import load_html

    from tasks.ingest.extraction.markup import said_in_text

    def seconds(html: str) -> float:
        source = f"<html><body>{html}</body></html>"
        tree = load_html(source)
        started = time.process_time()
        said_in_text(tree)
        return time.process_time() - started

    assert seconds(markup) < 3


def test_posts_that_look_like_what_they_answer_are_main_text_and_comments_on_an_article_are_not() -> None:
    post = "<div class='md'><p>{}</p></div>"
    answers = [f"{word} lock keeper I know has a boat of his own, and rows it." for word in ("Every", "No", "Another")]
    thread = post.format(BEFORE) + f"<div class='commentarea'>{''.join(map(post.format, answers))}</div>"
    page = "<html><body><nav><a href=/>Home</a></nav>{}</body></html>"
    found = extract(page.format(thread), Trafilatura()).text
    assert all(answer in found for answer in answers)
    article = f"<article class='entry'><p>{BEFORE}</p><p>{AFTER}</p></article>"
    comments = f"<div class='comments'>{''.join(map(post.format, answers))}</div>"
    found = extract(page.format(article + comments), Trafilatura()).text
    assert BEFORE in found and not any(answer in found for answer in answers)


def test_a_page_that_is_nothing_but_comments_is_its_comments() -> None:
    words = ("Every", "No", "Another", "The oldest")
    posts = [
        f"{word} lock keeper I know has a boat of his own, and rows it to the sea and back each year." for word in words
    ]
    cells = "".join(f"<tr><td><div class='comment'><div>{post}</div></div></td></tr>" for post in posts)
    found = extract(f"<html><body><a href=/>News</a><table>{cells}</table></body></html>", Trafilatura()).text
    assert all(post in found for post in posts)
