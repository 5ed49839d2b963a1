"""Prints the module of error classes, one for each reason of the list that is the argument."""

import json
import sys
import textwrap

HEAD = '''"""The error class of each reason. `generate` makes it from clients/reasons.json."""

from facematch._error_types import CallRefusedError, MatchFailedError
'''

BASES = {"call": "CallRefusedError", "match": "MatchFailedError"}


def class_name(reason):
    return "".join(word.capitalize() for word in reason.split("_")) + "Error"


def class_of(entry):
    lines = [f"class {class_name(entry['reason'])}({BASES[entry['kind']]}):"]
    text = entry["sentence"].replace("`", "``").replace("\\", "\\\\")
    body = textwrap.wrap(text, 92, break_long_words=False)
    if len(body) == 1:
        lines.append(f'    """{body[0]}"""')
    else:
        lines += [f'    """{body[0]}', *(f"    {line}" for line in body[1:]), '    """']
    return "\n".join(lines)


def table(name, base, entries):
    rows = "".join(f'    "{it["reason"]}": {class_name(it["reason"])},\n' for it in entries)
    return f"{name}: dict[str, type[{base}]] = {{\n{rows}}}"


def main(path):
    with open(path, encoding="utf-8") as file:
        reasons = json.load(file)["reasons"]
    parts = [HEAD]
    for entry in reasons:
        parts.append(f"\n{class_of(entry)}\n")
    of = {kind: [it for it in reasons if it["kind"] == kind] for kind in BASES}
    parts.append("\n" + table("CALL_REASONS", BASES["call"], of["call"]) + "\n")
    parts.append(table("MATCH_REASONS", BASES["match"], of["match"]) + "\n")
    names = sorted(class_name(it["reason"]) for it in reasons)
    exported = "".join(f'    "{name}",\n' for name in names)
    parts.append(f"__all__ = [\n{exported}]")
    print("\n".join(parts))


if __name__ == "__main__":
    main(sys.argv[1])
