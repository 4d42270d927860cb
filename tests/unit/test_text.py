"""The words of the page: every one that a template asks for is there, and no other."""

from __future__ import annotations

import re
import tomllib

import pytest

from causal_report.text import Text, templates


def test_heads_of_columns_are_words_with_the_kind_of_what_stands_below() -> None:
    assert Text("en").heads("model", "#runs", "") == [("Model", ""), ("Runs", "n"), ("", "")]
    with pytest.raises(KeyError):
        Text("en").heads("modle")


def test_every_head_that_a_table_asks_for_is_there_and_no_other() -> None:
    sources = [path.read_text("utf-8") for path in (templates() / "partials").glob("*.j2")]
    asked = {
        name
        for source in sources
        for names in re.findall(r"heads\(([^)]*)\)", source)
        for name in re.findall(r'"#?(\w+)"', names)
    }
    known = tomllib.loads((templates() / "text" / "en" / "heads.toml").read_text("utf-8"))["head"]
    assert asked == set(known)
    assert not [source for source in sources if re.search(r'm\.table\([^\n]*\("[^"]+", "n?"\)', source)]
