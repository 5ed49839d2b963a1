"""Reads metrics as an admin port shows them, and the names that rules and dashboards use."""

import json
import re
import urllib.request

from support import CALL_SECONDS, ROOT

RULES = ROOT / "deploy/prometheus/rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/facematch.json"

# Words of PromQL, and the labels in its expressions, are in lower case like the names of metrics,
# but only metrics have one of these beginnings.
METRIC = re.compile(r"\b(?:facematch|rpc_server|http_client|process)_[a-z0-9_]+")

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(address, accept="text/plain"):
    """The content type and the text of a scrape."""
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def families(text):
    """The names of the families in a scrape, with their types."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def series(text):
    """The series of a scrape, each with its value."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def total(text, name, **labels):
    """The sum of the series of a metric that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for one, value in series(text).items()
        if one.split("{")[0] == name and all(label in one for label in wanted)
    )


def alerts():
    """The alerts of the rules, each with its expression."""
    # The file is read as text: its form is promtool's to check.
    blocks = re.split(r"^\s+- alert: ", RULES.read_text(), flags=re.MULTILINE)[1:]
    return {block.split()[0]: block for block in blocks}


def used_names():
    """The names of all metrics that the rules and the dashboard use, without the parts of histograms."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    text = " ".join([*alerts().values(), *expressions])
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in METRIC.findall(text)}
