"""Label Studio's labelling page, generated from the label schema, and its answers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ossl_builder import parse
from ossl_builder.annotations.label_schema import (
    FILE_NAME,
    Choice,
    LabelSchema,
    Question,
    bundled,
)
from ossl_builder.annotations.records import Answer

# The name of the video, which the controls refer to.
CLIP = "clip"
HELP = (
    "Ctrl+Alt+Space plays, Ctrl+Enter submits, Ctrl+Space skips. "
    "While you write keys are off: Enter ends a text."
)

# The video is above the questions: beside them, its toolbar would cover their check boxes. It uses
# the height that they leave free, so that a page of 1366 x 768 fits without scrolling. The side
# panels are hidden: they are only for regions. The radio buttons are hidden because one with mouse
# focus would receive all keys; their labels still accept clicks. Classes that begin with `lsf-` or
# `ant-` belong to Label Studio: if a version renames them, the page is longer but still works.
# No `>`: Label Studio does not parse it here.
STYLE = """\
.lsf-sidepanels { padding: 0 !important; }
.lsf-sidepanels__wrapper { display: none !important; }
.mood { margin-top: -10px; }
.mood h4 { font-size: 13px !important; line-height: 18px !important; margin: 0 !important; }
.mood .question h4 { white-space: pre-line; }
.mood .lsf-video__main { height: clamp(160px, calc(100vh - 494px), 480px) !important; }
.mood .columns { display: flex; gap: 4px 28px; align-items: flex-start; flex-wrap: wrap; }
.mood .column { flex: 1 1 480px; min-width: 460px; }
.mood .below .group, .mood .below .text { flex: 1 1 480px; min-width: 0; }
.mood .question { display: grid; grid-template-columns: 168px 1fr; gap: 12px; padding: 5px 0; }
.mood .scale, .mood .choices { grid-template-columns: 214px 1fr; }
.mood .lsf-choices { margin: 0 !important; min-width: 0; }
.mood .lsf-choices label { line-height: 20px; }
.mood .lsf-choices input { visibility: hidden; }
.mood .scale .lsf-choices { display: grid; grid-template-columns: repeat(SCALE, minmax(0, 1fr)); }
.mood .scale .lsf-hint { display: block; top: 0; line-height: 11px; margin-left: -20px; }
.mood .choices .lsf-choices { display: grid; grid-template-columns: repeat(5, auto); }
.mood .choices .lsf-hint { display: none; }
.mood .choices label { padding: 0; }"""


def label_config(schema: LabelSchema) -> str:
    """Return the labelling page of a schema as XML.

    A scale is a row of radio buttons: a slider has a start value and looks answered, and stars
    need one key press per step.
    """
    numbers = {question.name: index for index, question in enumerate(schema.questions, start=1)}
    scales = [len(question.values) for question in schema.questions if question.kind == "scale"]
    style = STYLE.replace("SCALE", str(max(scales, default=1)))
    lines = [
        '<View className="mood">',
        f"  <!-- {schema.version}, made from {FILE_NAME}. The names are keys in exports:",
        "       never rename or re-use one. -->",
        f"  <Style>\n{_indented(escape(style), 4)}\n  </Style>",
        f"  <Header value={quoteattr(f'{schema.intro} {HELP}')} size={quoteattr('5')}/>",
        f'  <Video name="{CLIP}" value="$video" framerate="$fps" height="220"/>',
        '  <View className="columns">',
    ]
    for place in ("left", "right"):
        lines.append('    <View className="column">')
        lines += _placed(schema, place, numbers, 6)
        lines.append("    </View>")
    lines += ["  </View>", '  <View className="columns below">']
    lines += [*_placed(schema, "below", numbers, 4), "  </View>", "</View>"]
    return "\n".join(lines) + "\n"


def _placed(schema: LabelSchema, place: str, numbers: dict[str, int], indent: int) -> Iterable[str]:
    placed = [question for question in schema.questions if question.place == place]
    for hidden_when, group in groupby(placed, key=lambda question: question.hidden_when):
        body = "\n".join(_question(question, numbers[question.name]) for question in group)
        if hidden_when is not None:
            name, value = map(quoteattr, hidden_when)
            body = (
                f'<View className="group" visibleWhen="choice-unselected" '
                f"whenTagName={name} whenChoiceValue={value}>\n{_indented(body, 2)}\n</View>"
            )
        yield _indented(body, indent)


def _question(question: Question, number: int) -> str:
    heading = f"{number}  {_asked(question)}"
    name = f'name="{question.name}" toName="{CLIP}"'
    if question.kind == "text":
        return _text(question, name, heading)
    choice = "multiple" if question.kind == "choices" else "single-radio"
    required = ""
    if question.required:
        message = quoteattr(f"Question {number} is not answered: {question.ask}")
        required = f' required="true" requiredMessage={message}'
    # Quadrants are too long for one line.
    inline = "" if any(value.mood for value in question.values) else ' showInline="true"'
    values = "\n".join(f"    <Choice {_value(question, value)}/>" for value in question.values)
    return (
        f'<View className="question {question.kind}">\n'
        f'  <Header value={quoteattr(heading)} size="5"/>\n'
        f'  <Choices {name} choice="{choice}"{required}{inline}>\n{values}\n  </Choices>\n'
        "</View>"
    )


def _asked(question: Question) -> str:
    if question.kind == "scale":
        first, last = question.values[0], question.values[-1]
        low, high = question.ends
        return f"{question.ask}\n{first.name} {low} … {last.name} {high}"
    optional = "" if question.required else " (optional)"
    keys = [value.key for value in question.values]
    # With many words, a key beside each would take more space than the words.
    shown = f"\nkeys {keys[0]} … {keys[-1]}" if question.kind == "choices" and all(keys) else ""
    return f"{question.ask}{optional}{shown}"


def _value(question: Question, value: Choice) -> str:
    """Return a value's attributes: `value`, or `alias` if present, is recorded; `html` is shown."""
    attributes, shown = f"value={quoteattr(value.name)}", value.says
    if question.kind == "scale":
        # Browsers group radio buttons with the same value: a 9 on one scale would clear the 9 on
        # another.
        attributes = (
            f"value={quoteattr(f'{question.name} {value.name}')} alias={quoteattr(value.name)}"
        )
    if shown != value.name or question.kind == "scale":
        attributes += f" html={quoteattr(escape(shown))}"
    return attributes + (f" hotkey={quoteattr(value.key)}" if value.key else "")


def _text(question: Question, name: str, heading: str) -> str:
    shown = f"{heading}: {question.hint}" if question.hint else heading
    return (
        '<View className="text">\n'
        f'  <TextArea {name} rows="1" maxSubmissions="1" editable="true" '
        f'placeholder={quoteattr(shown)} showSubmitButton="false"/>\n'
        "</View>"
    )


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


def answers_of(schema: LabelSchema, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answers in the `result` of an annotation; `validation.check_answers` checks them.

    Results without a question keep the name of their control, so that the check can report it.
    """
    answers: dict[str, Any] = {}
    for result in results:
        name = str(result.get("from_name") or "")
        if not name:
            continue
        value = result.get("value")
        answer = _answer(schema.question(name), value)
        # A control has one result. If there are two different ones, keep both: the check fails.
        is_same = answers.get(name, answer) == answer
        answers[name] = answer if is_same else [answers[name], answer]
    return answers


def _answer(question: Question | None, value: Any) -> Any:
    values = _result_values(value) if isinstance(value, Mapping) else value
    if question is None or not isinstance(values, list):
        return values
    if question.kind == "choices":
        return tuple(values)
    if question.kind == "text":
        return " ".join(text if isinstance(text, str) else parse.shown(text) for text in values)
    if len(values) == 1:
        return as_number(values[0]) if question.kind == "scale" else values[0]
    return values


def results_of(schema: LabelSchema, answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """Return the `result` of a prediction or an annotation, in the order of the page."""
    results = []
    for question in schema.questions:
        if question.name not in answers:
            continue
        answer = answers[question.name]
        kind = "textarea" if question.kind == "text" else "choices"
        values = list(answer) if isinstance(answer, tuple) else [str(answer)]
        value = {"text" if kind == "textarea" else kind: values}
        results.append({"from_name": question.name, "to_name": CLIP, "type": kind, "value": value})
    return results


def as_number(text: Any) -> Any:
    """Return the whole number of a text; any other value unchanged."""
    try:
        return int(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _result_values(value: Mapping[str, Any]) -> Any:
    """Return the values of a result of any control: a list, or a single number."""
    for kind in ("choices", "text", "taxonomy", "labels"):
        values = value.get(kind)
        if isinstance(values, Sequence) and not isinstance(values, str):
            return list(values)
        if values is not None:
            return [values]
    # Ratings and numbers are not lists.
    return next((value[kind] for kind in ("rating", "number") if kind in value), None)


if __name__ == "__main__":
    sys.stdout.write(label_config(bundled()))
