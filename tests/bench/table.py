"""Tables of results: medians of several runs, side by side, and the goals they are held against."""

import statistics


def median(values):
    return statistics.median(values)


def percentile(values, share):
    """The smallest value that at least that share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def seconds(value):
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"


def milliseconds(value):
    return f"{value:.1f} ms"


def spread(values, form=seconds):
    return f"{form(min(values))} … {form(max(values))}"


def ratio(a, b):
    return f"{a / b:.2f}" if b else "-"


class Table:
    def __init__(self, name, title, columns):
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = []
        self.goals = []
        self.notes = []

    def row(self, *cells):
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append([str(cell) for cell in cells])

    def goal(self, what, value, limit, form="{:.2f}"):
        """A goal is told as reached or missed; it never makes a run fail."""
        verdict = "reached" if value <= limit else "missed"
        self.goals.append(f"{what}: {form.format(value)}, goal at most {form.format(limit)}: "
                          f"{verdict}")

    def note(self, text):
        self.notes.append(text)

    def text(self):
        widths = [max(len(row[i]) for row in [self.columns] + self.rows)
                  for i in range(len(self.columns))]

        def line(cells):
            first, *others = [cell.ljust(w) if i == 0 else cell.rjust(w)
                              for i, (cell, w) in enumerate(zip(cells, widths))]
            return "  " + "  ".join([first, *others])

        lines = [f"{self.name}: {self.title}", line(self.columns),
                 line(["-" * w for w in widths])]
        lines += [line(row) for row in self.rows]
        lines += [f"  * {goal}" for goal in self.goals]
        lines += [f"  - {note}" for note in self.notes]
        return "\n".join(lines)

    def markdown(self):
        def line(cells):
            return "| " + " | ".join(cells) + " |"

        lines = [f"**{self.title}**", "", line(self.columns),
                 line(["---"] + ["---:"] * (len(self.columns) - 1))]
        lines += [line(row) for row in self.rows]
        lines += [""] + [f"- {text}" for text in self.goals + self.notes]
        return "\n".join(lines)


def put_into(path, name, heading, text):
    """Replaces the section of one benchmark in a Markdown file, or adds it at the end."""
    begin, end = f"<!-- bench {name} -->\n", f"<!-- bench {name} end -->\n"
    section = f"{begin}{heading}\n\n{text}\n{end}"
    try:
        with open(path, encoding="utf-8") as file:
            page = file.read()
    except FileNotFoundError:
        page = ""
    before, found, rest = page.partition(begin)
    if found:
        _, found, after = rest.partition(end)
        assert found, f"{path}: '{begin.strip()}' has no end"
        page = before + section + after
    else:
        page = f"{page}\n{section}" if page else section
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
