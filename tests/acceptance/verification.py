"""The pytest plugin of `./dev verify`: it chooses and reports criteria instead of tests."""

from __future__ import annotations

import io
import json
import sys
from collections import defaultdict
from dataclasses import asdict

import pytest
from _pytest.terminal import TerminalReporter
from criteria import Criterion, choose, declared
from report import (
    FAIL,
    LEFT_OUT,
    NOT_APPLICABLE,
    PASS,
    Outcome,
    publish,
    show,
)
from running import ProductStack
from running_stack import CHECKOUT, Failed

from devtools.errors import DevError
from devtools.terminal import Terminal

_LEFT_OUT = "takes long; --quick leaves it out"


class Verification:
    """One run: the chosen criteria, the results of their tests, and the stack they look at."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        option = config.option
        self.terminal = Terminal(out=sys.stderr) if option.json else Terminal()
        self.stack = ProductStack(CHECKOUT, engine=option.engine)
        self.stack.tell = self._progress
        self.criteria: list[Criterion] = []
        self.outcomes: list[Outcome] = []
        self._results: dict[str, list[pytest.TestReport]] = defaultdict(list)
        self._ended: set[str] = set()
        # What pytest itself prints is shown only if it cannot run the tests.
        self._pytest = io.StringIO()
        plugins = config.pluginmanager
        plugins.unregister(plugins.getplugin("terminalreporter"))
        plugins.register(TerminalReporter(config, self._pytest), "terminalreporter")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        if session.testsfailed:  # a file of criteria cannot be read: pytest itself shows why
            return
        option = self.config.option
        try:
            self.criteria = choose(declared(items), option.criteria)
            if option.list:
                self._list()
            if "web" not in self.stack.addresses:
                raise DevError("the stack is not up", "start it: ./dev up")
        except DevError as error:
            for problem in error.problems:
                self.terminal.fail(problem)
            if option.json:
                problems = [asdict(problem) for problem in error.problems]
                print(json.dumps({"problems": problems}, indent=2))
            pytest.exit("refused", error.exit_status)
        items[:] = dict.fromkeys(test for one in self.criteria for test in one.tests)
        for item in items:
            docker_only = item.get_closest_marker("needs_docker")
            if docker_only and not self.stack.in_docker:
                item.add_marker(pytest.mark.skip(reason=docker_only.args[0]))
            elif option.quick and item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason=_LEFT_OUT))

    def _list(self) -> None:
        if self.config.option.json:
            found = [{"id": one.id, "statement": one.statement} for one in self.criteria]
            print(json.dumps(found, indent=2))
        for one in () if self.config.option.json else self.criteria:
            print(f"{one.id:<8}  {one.statement}")
        pytest.exit("listed", 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo):
        report = yield
        report.failure = call.excinfo.value if call.excinfo and report.failed else None
        return report

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        running = [one for one in self.criteria if nodeid in (test.nodeid for test in one.tests)]
        if self.terminal.live and running:
            line = f"  … {running[0].id}  {running[0].statement}"
            self.terminal.rewrite([self.terminal.fit(line)], 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._results[report.nodeid].append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._ended.add(nodeid)
        if self.terminal.live:
            self.terminal.rewrite([], 1)
        for one in self.criteria:
            tests = [test.nodeid for test in one.tests]
            if nodeid in tests and self._ended.issuperset(tests):
                outcome = self._outcome(one, [r for test in tests for r in self._results[test]])
                self.outcomes.append(outcome)
                if not self.config.option.json:
                    show(self.terminal, outcome)

    def _outcome(self, one: Criterion, results: list[pytest.TestReport]) -> Outcome:
        took = sum(result.duration for result in results)
        for result in results:
            if result.failed:
                finding, remedy = _failure(result)
                return self._told(one, FAIL, finding, remedy, took)
        skipped = [
            result.longrepr[2].removeprefix("Skipped: ") for result in results if result.skipped
        ]
        if skipped:
            status = LEFT_OUT if _LEFT_OUT in skipped else NOT_APPLICABLE
            return self._told(one, status, skipped[0], "", took)
        said = [
            str(value)
            for result in results
            for name, value in result.user_properties
            if name == "seen" and result.when == "teardown"
        ]
        return self._told(one, PASS, "; ".join(said), "", took)

    def _told(self, one: Criterion, status: str, text: str, remedy: str, took: float) -> Outcome:
        flat = " ".join(text.split()).replace(f"{self.stack.checkout}/", "")
        return Outcome(one, status, flat, remedy, took)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._results:
            return
        option = self.config.option
        order = [one.id for one in self.criteria]
        self.outcomes.sort(key=lambda outcome: order.index(outcome.criterion.id))
        publish(
            self.terminal,
            self.outcomes,
            self.stack.engine,
            chosen=len(self.criteria),
            as_json=option.json,
            page=option.markdown,
        )

    def pytest_unconfigure(self) -> None:
        if not self.criteria:  # pytest found no test that it could run
            sys.stderr.write(self._pytest.getvalue())

    def _progress(self, line: str) -> None:
        """Show a line of a long check in place, on a terminal only."""
        if self.terminal.live and line.strip():
            self.terminal.rewrite([self.terminal.fit(f"  … {line.strip()}")], 1)


def _failure(result: pytest.TestReport) -> tuple[str, str]:
    """What was found, and what to type against it."""
    error = result.failure
    if isinstance(error, Failed):
        return error.finding, error.remedy
    if isinstance(error, DevError):
        return error.problems[0].what, error.problems[0].remedy
    if isinstance(error, AssertionError):
        return str(error) or result.longreprtext, ""
    if isinstance(error, (OSError, ValueError)):  # no answer, a file that is missing or faulty
        return str(error), "./dev status"
    return f"the check broke: {type(error).__name__}: {error}", "report it"
