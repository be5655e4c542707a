"""The contact sheet of a library: one HTML file that works from a disk, a bucket or a web server.

It needs nothing but the named views beside it (assets/…): style and script are in the file.
Published assets come first; a quarantined prompt shows its class and its reason. A library of more
than MAX_CARDS outcomes shows those that were decided last, and refers to the catalog for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BufferedIOBase
from urllib.parse import quote

from dreamfoundry.file_roles import role_of
from dreamfoundry.library.entries import Entry
from dreamfoundry.library.lost_rows import NONE_LOST, LostRowsRecord
from dreamfoundry.records import Outcome

KEY = "index.html"
MEDIA_TYPE = "text/html; charset=utf-8"

MAX_CARDS = 5_000
"""More than this, some megabytes of HTML, is of no use to anybody in one page."""

MAX_ALSO = 5
"""Further prompt ids of an asset that its card shows; the search finds all."""

MAX_LOST = 20
"""Row groups with lost rows that a page names."""

LINKED: Mapping[str, str] = {
    "collision": "hulls",
    "unreal": "Unreal",
    "godot": "Godot",
    "usdz": "USDZ",
    "web": "web",
    "dense": "dense",
    "metadata": "metadata",
}
"""Roles of the files that a card links beside the levels, with their labels, in order."""

HEAD_BYTES = 1_000
"""As much of a page tells which catalog it belongs to."""

_MARK = '<meta name="catalog-sha256" content='

_STYLE = """
:root { color-scheme: dark; --ink: #e8e8e6; --soft: #9c9c98; --line: #333331; --card: #232322; --warm: #e0a458; }
* { box-sizing: border-box; }
body { margin: 0; background: #191918; color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center;
  padding: 14px 24px; background: #191918ee; border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 17px; font-weight: 600; }
header p { margin: 0; color: var(--soft); }
header input { margin-left: auto; width: min(320px, 100%); padding: 7px 12px; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 7px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 18px; padding: 24px; }
article { overflow: hidden; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
article[hidden] { display: none; }
figure { position: relative; margin: 0; aspect-ratio: 1; background: #2b2b2a; }
figure img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
figure img + img { opacity: 0; background: #2b2b2a; }
figure:hover img + img { opacity: 1; }
figure span { position: absolute; inset: 0; display: grid; place-items: center; color: var(--warm); }
aside { margin: 24px 24px 0; padding: 12px 16px; color: var(--warm); border: 1px solid #5b4a33; border-radius: 10px; }
section { padding: 11px 14px 13px; }
h2 { margin: 0; font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
section p { margin: 3px 0 0; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
section ul { display: flex; flex-wrap: wrap; gap: 5px; margin: 7px 0 0; padding: 0; list-style: none; font-size: 12px; }
section li { padding: 1px 8px; border: 1px solid var(--line); border-radius: 9px; overflow-wrap: anywhere; }
a { color: inherit; text-underline-offset: 3px; }
.quarantined { border-color: #5b4a33; }
"""

_SCRIPT = """
const box = document.querySelector("input"), cards = [...document.querySelectorAll("article")];
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const card of cards) card.hidden = !words.every((word) => card.dataset.find.includes(word));
});
"""


def write(
    latest: Iterable[Entry],
    file: BufferedIOBase,
    *,
    num_published: int,
    num_quarantined: int,
    catalog_key: str,
    catalog_digest: str,
    lost: LostRowsRecord = NONE_LOST,
    title: str = "Asset library",
) -> None:
    """Write the page of a library as UTF-8 HTML, to be stored as `KEY`. All text is escaped.

    `latest` are the entries to be shown, in their order, one for each outcome: all, or the last MAX_CARDS of them. The
    numbers are those of the whole library, of which there is more at `catalog_key`; its SHA-256 shows
    that the two were made from the same outcomes. `lost` are rows that the last run could not read.
    """
    count = f"{num_published} published, {num_quarantined} quarantined"
    if num_published + num_quarantined > MAX_CARDS:
        count += (
            f"; here are the {MAX_CARDS} latest, quarantined ones where published ones leave room, "
            f'and <a href="{escape(quote(catalog_key))}">the catalog</a> has all'
        )

    file.write(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{_catalog_mark(catalog_digest)}
<title>{escape(title)}</title>
<style>{_STYLE}</style>
<header><h1>{escape(title)}</h1><p>{count}</p>
<input type="search" placeholder="Search prompts, ids, tags, states" aria-label="Search"></header>
{_lost(lost)}<main>
""".encode()
    )

    # card by card: a library may have more outcomes than fit in memory
    for entry in latest:
        file.write(f"{_card(entry)}\n".encode())
    file.write(f"</main>\n<script>{_SCRIPT}</script>\n</html>\n".encode())


def _lost(lost: LostRowsRecord) -> str:
    """The box above the cards with what the last run could not read; empty where it read everything."""
    if not lost.ranges:
        return ""
    items = [
        f"<li>{escape(item.part)}, row group {item.row_group}, rows {item.first_row} to {item.last_row}: "
        f"{escape(item.reason)}</li>"
        for item in lost.ranges[:MAX_LOST]
    ]
    if len(lost.ranges) > MAX_LOST:
        items.append(f"<li>… and {len(lost.ranges) - MAX_LOST} more row groups</li>")
    return (
        f"<aside>{lost.num_rows} rows of {escape(lost.manifest)} could not be read:<ul>{''.join(items)}</ul></aside>\n"
    )


def names_catalog(head: bytes, catalog_digest: str) -> bool:
    """True where a page that begins with `head` was written with the catalog of this SHA-256."""
    return _catalog_mark(catalog_digest).encode() in head


def names_a_catalog(head: bytes) -> bool:
    """True where a page that begins with `head` was written with any catalog."""
    return _MARK.encode() in head


def _catalog_mark(digest: str) -> str:
    return f'{_MARK}"{digest}">'


def _card(entry: Entry) -> str:
    outcome = entry.outcome
    asked = _asked_for(outcome)
    words = [outcome.prompt, outcome.prompt_id, outcome.state, outcome.failure_class, *asked, *entry.tags, *entry.also]
    body = _published(outcome, asked) if outcome.state == "published" else _quarantined(outcome, asked)
    also = f"<p>also {escape(_several(entry.also))}</p>" if entry.also else ""
    chips = "".join(f"<li>{escape(tag)}</li>" for tag in entry.tags)
    tags = f"<ul>{chips}</ul>" if chips else ""
    found_by = escape(" ".join(words).lower())
    return f'<article class="{outcome.state}" data-find="{found_by}">{body}{also}{tags}</section></article>'


def _several(prompt_ids: Sequence[str]) -> str:
    """The first of `prompt_ids`, and the number of the others."""
    shown, num_others = ", ".join(prompt_ids[:MAX_ALSO]), len(prompt_ids) - MAX_ALSO
    return f"{shown} and {num_others} more" if num_others > 0 else shown


def _asked_for(outcome: Outcome) -> list[str]:
    """The differences between assets of one prompt: the export profile, and a seed that was chosen."""
    profile, request = outcome.provenance.get("budget_profile"), outcome.provenance.get("request")
    field = request.get("field") if isinstance(request, dict) else None
    seed = field.get("seed") if isinstance(field, dict) else None
    return [str(profile)] * bool(profile) + [f"seed {seed}"] * bool(seed)


def _published(outcome: Outcome, asked: list[str]) -> str:
    """The card of an asset, but for the end of its section."""
    # The WebP is a tenth of the PNG, and a page has thousands.
    still = "thumb_512.webp" if "thumb_512.webp" in outcome.files else "thumbnail.png"
    names = [name for name in (still, "turntable.webp") if name in outcome.files]
    pictures = "".join(f'<img loading="lazy" src="{_link(outcome, name)}" alt="">' for name in names)

    glb = f"{outcome.slug}.glb"
    facts = [escape(text) for text in (outcome.prompt_id, *asked)]
    if "triangles" in outcome.scores:
        facts.append(f"{outcome.scores['triangles']:,.0f} triangles")
    if "height_m" in outcome.scores:
        facts.append(f"{outcome.scores['height_m']:.3g} m")
    if glb in outcome.files:
        facts.append(f"{outcome.files[glb].num_bytes / 1e6:.1f} MB")

    links = [f'<a href="{_link(outcome, name)}">{label}</a>' for name, label in _linked(outcome)]
    return (
        f"<figure>{pictures}</figure><section><h2>{escape(outcome.prompt)}</h2>"
        f"<p>{' · '.join(facts)}</p><p>{' · '.join(links)}</p>"
    )


def _linked(outcome: Outcome) -> list[tuple[str, str]]:
    """Files that the card of an asset links, with their labels: its levels, what was ordered beside them, metadata."""
    roles = {name: role_of(name, outcome.slug) for name in outcome.files}
    levels = sorted((role.level, name) for name, role in roles.items() if role.level is not None)
    others = {role.name: name for name, role in roles.items()}
    return [
        *((name, f"LOD{number}" if number else "GLB") for number, name in levels),
        *((others[role], label) for role, label in LINKED.items() if role in others),
    ]


def _quarantined(outcome: Outcome, asked: list[str]) -> str:
    """The card of a prompt that was given up, but for the end of its section."""
    return (
        f"<figure><span>{escape(outcome.failure_class or 'quarantined')}</span></figure>"
        f"<section><h2>{escape(outcome.prompt or outcome.prompt_id)}</h2>"
        f"<p>{escape(' · '.join((outcome.prompt_id, *asked, 'quarantined')))}</p>"
        f"<p>{escape(outcome.message)}</p>"
    )


def _link(outcome: Outcome, name: str) -> str:
    """Relative to the page. The named view lies at assets/{prompt_id}/{asset_key}/."""
    return escape(quote(f"assets/{outcome.prompt_id}/{outcome.asset_key}/{name}"))
