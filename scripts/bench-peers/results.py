"""What several rounds' reports say together."""

from statistics import median

# In a report's `median`, or in the results of bench.html, or beside them.
FIGURES = ("decodeTokensPerSecond", "prefillTokensPerSecond", "timeToFirstTokenMs", "loadMs", "firstTokenMs")


def figures(job, report):
    """(label, {figure: number}) for what a page reported; bench.html reports several models and kinds."""
    if "results" in report:
        for result in report["results"]:
            values = {name: result[name]["median"] for name in FIGURES if isinstance(result.get(name), dict)}
            if values:
                yield f"{job} {result.get('model')} {result.get('kind')}", values
    elif "median" in report:
        values = {**report["median"], **report}
        on = " (on the CPU)" if report.get("computesOn") == "cpu" else ""
        yield job + on, {name: values[name] for name in FIGURES if isinstance(values.get(name), (int, float))}


def together(records):
    """{label: {rounds, figure: {median, min, max}}} in the order in which labels came first."""
    collected = {}
    for record in records:
        for label, values in figures(record["job"], record.get("report") or {}):
            of_label = collected.setdefault(label, {})
            for name, value in values.items():
                of_label.setdefault(name, []).append(value)
    return {
        label: {
            "rounds": max(map(len, of_label.values())),
            **{
                name: {"median": median(values), "min": min(values), "max": max(values)}
                for name, values in of_label.items()
            },
        }
        for label, of_label in collected.items()
    }


def table(summary):
    """The same, to be read: medians, least and greatest in brackets for decode."""

    def number(value):
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"

    def cell(of_label, name):
        if name not in of_label:
            return ""
        value = of_label[name]
        spread = f" ({number(value['min'])} to {number(value['max'])})" if name == FIGURES[0] else ""
        return number(value["median"]) + spread

    rows = [
        ["", "rounds", "decode tok/s", "prefill tok/s", "first token ms", "load ms", "first token since navigation ms"]
    ]
    rows += [
        [label, str(of_label["rounds"]), *(cell(of_label, name) for name in FIGURES)]
        for label, of_label in summary.items()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
