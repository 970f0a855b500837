"""The answers of the commands with --json: docs/reference.md shows them, tests hold them.

A text names the type of a value: `text`, `number`, `flag` (true or false), `null`, `any`, or
several with `|` between them; another word is the value itself. A key in `<>` stands for any key,
and one that ends with `?` may be missing. Keys are only ever added.
"""

from __future__ import annotations

PROBLEM = {"what": "text", "remedy": "text"}
# Of every command that cannot do its work.
PROBLEMS = {"problems": [PROBLEM]}

HELP = [{"name": "text", "group": "text", "summary": "text"}]

STATUS = {
    "engine": "text",
    "project": "text",
    "state": "up|failing|down",
    "server": "text|null",
    "services": [
        {
            "name": "text",
            "state": "text",
            "healthy": "flag",
            "since": "text|null",
            "uptime_seconds": "number|null",
            "address": "text|null",
            "replicas": "any",
        }
    ],
    "health": {"status?": "text", "checks?": {"<name>": {"<fact>": "any"}}},
    "addresses": {"<service or page>": "text"},
    "tenants": {"<tenant>": "text"},
    "reload": "flag|null",
    "debuggers": {"<service>": {"address": "text", "listening": "flag", "attached": "flag"}},
    "missing_packages": ["text"],
}
DOWN = {"kept": ["text"]}
SECONDS = {"seconds": "number"}
SERVE = {"server": "text", "changed": "flag", "debug_port": "number|null"}
CLEAN = {"deleted": ["text"]}
# Each line of the output is one of these.
LOGS = {"service": "text", "text?": "text", "entry?": {"<key>": "any"}}

SNAPSHOT = {
    "name": "text",
    "bytes": "number",
    "saved": "text",
    "branch": "text",
    "postgres": "text|number",
    "tenants": ["text"],
    "masked": "flag",
    "migrations_lacking": ["text"],
    "migrations_added": ["text"],
}
SNAPSHOTS = {
    "save": SNAPSHOT,
    "list": [SNAPSHOT],
    "restore": {"restored": "text", "failing": {"<health check>": "text"}},
    "delete": {"deleted": "text"},
}
UPGRADE_DB = {
    "from?": "number",
    "to?": "number",
    "schemas?": {"<schema>": {"tables": "number", "rows": "number"}},
}
REHEARSAL = {
    "safe": "flag",
    "schemas": [
        {
            "schema": "text",
            "migrations": ["text"],
            "seconds": "number",
            "longest_wait": "number",
            "locks": [{"migration": "text", "table": "text", "mode": "text", "seconds": "number"}],
        }
    ],
    "unsafe": [
        {
            "migration": "text",
            "what": "text",
            "remedy": "text",
            "schemas": ["text"],
            "allowed": "flag",
        }
    ],
}
WORKTREES = {
    "list": [
        {
            "path": "text",
            "branch": "text",
            "stacks": [
                {
                    "engine": "text",
                    "healthy": "flag",
                    "memory": "number",
                    "addresses": {"<service or page>": "text"},
                }
            ],
        }
    ],
    "remove": {"removed": "text"},
}

_TASK = {
    "id": "text",
    "task": "text",
    "tenant": "text",
    "state": "running|waiting|retried|failed|ended|stopped",
    "attempt": "number",
    "since": "text|null",
    "until": "text|null",
    "worker": "text",
    "arguments": "text",
    "error": "text",
    "traceback": "text",
}
TASKS = {
    "tasks": {
        "schedules": [
            {
                "name": "text",
                "task": "text",
                "times": "text",
                "tenants": "text",
                "last": "text|null",
                "next": "text",
            }
        ],
        "workers": ["text"],
        "running": [_TASK],
        "waiting": {"number": "number", "first": [_TASK]},
        "retried": [_TASK],
        "failed": [_TASK],
    },
    "tasks ID": _TASK,
    "tasks --send, --end or --forget": {"done": ["text"]},
}

# Of a request, a task or a command; times are seconds since 1970.
_TRACED = {
    "trace": "text",
    "span": "text",
    "type": "requests|tasks|commands",
    "at": "number",
    "ms": "number",
    "tenant": "text",
    "failed": "flag",
    "method?": "text",
    "path?": "text",
    "status?": "number",
    "request_id?": "text",
    "name?": "text",
    "id?": "text",
    "state?": "text",
    "attempt?": "number",
}
TRACE = {
    "trace": [_TRACED],
    "trace ID or --last": {
        "trace": "text",
        "left_out": "number",
        "spans": [
            {
                "span": "text",
                "parent": "text",
                "kind": "server|consumer|client|producer|internal",
                "name": "text",
                "service": "text",
                "at": "number",
                "ms": "number",
                "failed": "flag",
                "why?": "text",
                "attributes": {"<name>": "any"},
                "events": [{"name": "text", "at": "number", "<fact>": "any"}],
                "entry?": {"<fact>": "any"},
            }
        ],
    },
}

ADOPT = {"commit": "text", "dry_run": "flag", "removed": ["text"], "changed": ["text"]}
UPGRADE = {
    "dry_run": "flag",
    "version?": "text",
    "base?": "text",
    "commit?": "text",
    "changed?": ["text"],
    "yours?": ["text"],
    "not_taken?": ["text"],
}
STARTAPP = {"files": ["text"]}

ENV = {
    "env": {
        "engine": "text",
        "deployment": "text",
        "service": "text",
        "running": "flag|null",
        "variables": [
            {
                "name": "text",
                "group": "text",
                "value": "text|null",
                "source": "text",
                "note": "text",
                "secret": "flag",
                "deployments": ["text"],
            }
        ],
        "unknown": ["text"],
    },
    "env --check": [{"file": "text", "line": "number", "what": "text", "remedy": "text"}],
}
PARITY = {
    "differences": [
        {
            "service": "text",
            "aspect": "text",
            "local": "text",
            "production": "text",
            "reason": "text",
        }
    ],
    "alike": [{"service": "text", "aspect": "text", "value": "text"}],
    "stale": ["text"],
}
EXPORT = {
    "files": [{"path": "text", "family": "text"}],
    "notes": ["text"],
    "placeholders": ["text"],
    "parameters": ["text"],
}
CLOUD = {
    "family?": "text",
    "address?": "text|null",
    "services?": [
        {
            "name": "text",
            "definition": "text",
            "desired": "number",
            "running": "number",
            "deployment": "text",
            "tasks": [{"id": "text", "state": "text", "definition": "text"}],
        }
    ],
    "deleted?": ["text"],
}
REFERENCE = {"files": ["text"], "changed": "flag"}

TEST = {
    "status": "number",
    "counts": {"<outcome>": "number"},
    "seconds": "number",
    "failures": [
        {"test": "text", "file": "text", "line": "number", "message": "text", "text": "text"}
    ],
    "failures_left_out": "number",
    "output": "text",
}
LINT = {"status": "number", "passed": "number", "failures": [{"check": "text", "output": "text"}]}
VERIFY = {
    "verify": {
        "engine": "text",
        "passed": "flag",
        "criteria": [
            {
                "id": "text",
                "statement": "text",
                "status": "text",
                "evidence": "text",
                "remedy": "text",
                "seconds": "number",
            }
        ],
    },
    "verify --list": [{"id": "text", "statement": "text"}],
}
LOCK = {"changed": "flag"}
AUDIT = {
    "looked_up": "number",
    "findings": [{"package": "text", "version": "text", "advisory": "text", "fixed_in": ["text"]}],
    "not_looked_up": ["text"],
    "refused_licences": [PROBLEM],
}
DOCTOR = {
    "state": "ok|wrong",
    "checks": [
        {
            "name": "text",
            "state": "text",
            "finding": "text",
            "remedy": "text",
            "seconds": "number",
        }
    ],
    "fixed": {"<check>": ["text"]},
}
SECRETS = {"file": "text", "to_fill_in": ["text"]}
BACKUP = {"<fact>": "any"}
