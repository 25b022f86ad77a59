"""Label Studio's labelling page and its answers, both made from the label schema."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ossl_builder import parse
from ossl_builder.annotations import label_schema as taxonomies
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import Choice, Question
from ossl_builder.annotations.records import Answer

# The name by which the controls refer to the video.
CLIP = "clip"
HELP = (
    "Ctrl+Alt+Space plays, Ctrl+Enter submits, Ctrl+Space skips. "
    "While you write keys are off: Enter ends a text."
)

# The video stands above the questions: beside them, its toolbar would cover their check boxes. It
# takes what height they leave, so that a page of 1366 x 768 need not be scrolled. Label Studio's
# side panels are of use for regions only, and there are none here. A radio button that a mouse has
# given the focus would swallow all keys: hidden, it still takes clicks by its label. The classes
# that begin with `lsf-` and `ant-` are Label Studio's own: where another version has others, the
# page is longer and works all the same. No `>`: Label Studio does not read it here.
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


def label_config(taxonomy: LabelSchema) -> str:
    """The page of a taxonomy.

    A scale is a row of radio buttons: a slider rests at its middle and looks answered, and a row
    of stars takes its keys one press per step.
    """
    numbers = {question.name: at for at, question in enumerate(taxonomy.questions, start=1)}
    scales = [len(question.values) for question in taxonomy.questions if question.kind == "scale"]
    style = STYLE.replace("SCALE", str(max(scales, default=1)))
    lines = [
        '<View className="mood">',
        f"  <!-- {taxonomy.version}, made from {taxonomies.FILE}. The names are keys in exports:",
        "       never rename or re-use one. -->",
        f"  <Style>\n{_indented(escape(style), 4)}\n  </Style>",
        f"  <Header value={quoteattr(f'{taxonomy.intro} {HELP}')} size={quoteattr('5')}/>",
        f'  <Video name="{CLIP}" value="$video" framerate="$fps" height="220"/>',
        '  <View className="columns">',
    ]
    for place in ("left", "right"):
        lines.append('    <View className="column">')
        lines += _placed(taxonomy, place, numbers, 6)
        lines.append("    </View>")
    lines += ["  </View>", '  <View className="columns below">']
    lines += [*_placed(taxonomy, "below", numbers, 4), "  </View>", "</View>"]
    return "\n".join(lines) + "\n"


def _placed(
    taxonomy: LabelSchema, place: str, numbers: dict[str, int], indent: int
) -> Iterable[str]:
    here = [question for question in taxonomy.questions if question.place == place]
    for hidden_when, group in groupby(here, key=lambda question: question.hidden_when):
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
    # Quadrants are too long to stand in one line.
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
    # Beside each of many words their keys would take more room than the words.
    shown = f"\nkeys {keys[0]} … {keys[-1]}" if question.kind == "choices" and all(keys) else ""
    return f"{question.ask}{optional}{shown}"


def _value(question: Question, value: Choice) -> str:
    """A value's attributes: `value` is recorded, or `alias` if there is one; `html` is shown."""
    said, shown = f"value={quoteattr(value.name)}", value.says
    if question.kind == "scale":
        # The browser takes radio buttons of one value for one group: a 9 on one scale would
        # release the 9 on another.
        said = f"value={quoteattr(f'{question.name} {value.name}')} alias={quoteattr(value.name)}"
    if shown != value.name or question.kind == "scale":
        said += f" html={quoteattr(escape(shown))}"
    return said + (f" hotkey={quoteattr(value.key)}" if value.key else "")


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


def answers_of(taxonomy: LabelSchema, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The answers in the `result` of an annotation, unchecked: `intake.receive` checks them.

    What belongs to no question is kept under its control's name, so that the check can name it.
    """
    found: dict[str, Any] = {}
    for result in results:
        name = str(result.get("from_name") or "")
        if not name:
            continue
        value = result.get("value")
        answer = _answer(taxonomy.question(name), value)
        # A control has one result. Of two that differ, neither is known to be the answer.
        found[name] = answer if found.get(name, answer) == answer else [found[name], answer]
    return found


def _answer(question: Question | None, value: Any) -> Any:
    given = _given(value) if isinstance(value, Mapping) else value
    if question is None or not isinstance(given, list):
        return given
    if question.kind == "choices":
        return tuple(given)
    if question.kind == "text":
        return " ".join(one if isinstance(one, str) else parse.shown(one) for one in given)
    if len(given) == 1:
        return as_number(given[0]) if question.kind == "scale" else given[0]
    return given


def results_of(taxonomy: LabelSchema, answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """The inverse: a `result` for a prediction or an annotation, in the order of the page."""
    found = []
    for question in taxonomy.questions:
        if question.name not in answers:
            continue
        answer = answers[question.name]
        kind = "textarea" if question.kind == "text" else "choices"
        given = list(answer) if isinstance(answer, tuple) else [str(answer)]
        value = {"text" if kind == "textarea" else kind: given}
        found.append({"from_name": question.name, "to_name": CLIP, "type": kind, "value": value})
    return found


def as_number(text: Any) -> Any:
    """A whole number where the text is one, else the text itself."""
    try:
        return int(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _given(value: Mapping[str, Any]) -> Any:
    """What stands in a result's value, whatever the control: a list, or a single value."""
    for kind in ("choices", "text", "taxonomy", "labels"):
        given = value.get(kind)
        if isinstance(given, Sequence) and not isinstance(given, str):
            return list(given)
        if given is not None:
            return [given]
    # Ratings and numbers are no lists.
    return next((value[kind] for kind in ("rating", "number") if kind in value), None)


if __name__ == "__main__":
    sys.stdout.write(label_config(taxonomies.bundled()))
