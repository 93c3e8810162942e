"""Answers to a service's questions: what is kept, what is refused, and how they are shown."""

from types import SimpleNamespace

import pytest

from portal.booking.questions import answer_lines, check_answers, typed_answers
from portal.errors import Invalid
from portal.language.say import speaking


def question(name="allergies", kind="text", *, is_required=False, choices=(), label="Allergies?"):
    return SimpleNamespace(name=name, label=label, kind=kind, is_required=is_required, choices=list(choices))


def refused(asked, answer):
    with pytest.raises(Invalid) as error:
        check_answers([asked], {asked.name: answer})
    return error.value.fields[f"answer-{asked.name}"]


@pytest.mark.parametrize(
    ("kind", "answer", "kept"),
    [
        ("text", "  two\n words\x00 ", "two words"),
        ("long", "one\ntwo ", "one\ntwo"),
        ("number", "12", 12),
        ("number", " 1,5 ", 1.5),
        ("number", -3, -3),
        ("number", 2.0, 2),
        ("choice", "tea", "tea"),
        ("checkbox", "1", True),
        ("checkbox", True, True),
        ("checkbox", "", False),
    ],
)
def test_an_answer_is_kept_as_what_it_is(kind, answer, kept):
    asked = question(kind=kind, choices=["tea", "coffee"])
    found = check_answers([asked], {"allergies": answer})["allergies"]
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize("kind", ["text", "long", "number", "choice"])
@pytest.mark.parametrize("answer", ["", "  ", "\x00\x07", None])
def test_no_answer_is_kept_as_none_and_refused_where_one_is_needed(kind, answer):
    assert check_answers([question(kind=kind)], {"allergies": answer}) == {}
    assert refused(question(kind=kind, is_required=True), answer) == "Please answer this: it is needed."


@pytest.mark.parametrize("answer", [None, "", False, "no", "off"])
def test_a_tick_that_is_needed_must_be_a_yes(answer):
    assert "tick" in refused(question(kind="checkbox", is_required=True), answer)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("text", 5), ("text", ["a"]), ("text", "x" * 301), ("long", "x" * 2001), ("number", "many"), ("number", True), ("number", "1e9"),
        ("number", float("nan")), ("number", "٣"), ("number", "1" * 13), ("choice", "water"), ("choice", True), ("checkbox", "maybe"),
        ("checkbox", 7),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_kind_is_refused(kind, answer):
    assert refused(question(kind=kind, choices=["tea", "coffee"]), answer).startswith("Please")


def test_an_answer_that_nobody_asked_for_is_refused():
    with pytest.raises(Invalid) as error:
        check_answers([question()], {"allergies": "nuts", "price": "0"})
    assert list(error.value.fields) == ["answer-price"]


def test_all_mistakes_are_told_at_once():
    asked = [question("a", is_required=True), question("b", "number"), question("c")]
    with pytest.raises(Invalid) as error:
        check_answers(asked, {"b": "x", "c": "fine"})
    assert list(error.value.fields) == ["answer-a", "answer-b"]


def test_a_form_brings_answers_beside_other_fields():
    assert typed_answers({"name": "Eva", "answer-a": "1", "answer-b-c": ""}) == {"a": "1", "b-c": ""}


def test_answers_are_shown_under_their_labels_in_the_order_of_the_questions():
    service = SimpleNamespace(questions=[question("a", label="First?"), question("b", "checkbox", label="Second?")])
    lines = answer_lines(service, {"gone": 1.5, "b": True, "a": "yes & no"})
    assert lines == [("First?", "yes & no"), ("Second?", "Yes"), ("gone", "1.5")]
    with speaking("es"):
        assert answer_lines(service, {"b": False})[0][0] == "Second?"


@pytest.mark.parametrize("nothing", ["\u200b", "\u2060 \u3164", "\u2800", "\u00a0\u200d"])
@pytest.mark.parametrize("kind", ["text", "long"])
def test_an_answer_with_nothing_to_see_is_none(kind, nothing):
    assert refused(question(kind=kind, is_required=True), nothing) == "Please answer this: it is needed."
    assert check_answers([question(kind=kind)], {"allergies": nothing}) == {}
