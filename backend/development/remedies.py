"""What messages tell a developer to run; core.settings.base has the words of production."""

REMEDIES = {
    "manage": "./dev manage",
    "migrate": "run: ./dev migrate",
    "restart": "run: ./dev restart web worker",
    "migrations ahead": "run: ./dev doctor migrations",
    "database": "./dev status, ./dev logs db",
    # Without Docker, it takes a server that has the extension, or says how to get one.
    "extension": "run: ./dev up",
    # Each start sets the roles' configured passwords: init-scripts/database/set-passwords.
    "password": "run: ./dev restart db",
    "code": "as the owner of the checkout, on your machine: ./dev manage COMMAND",
    "worker": "see its log: ./dev logs worker",
    "test": "./dev test; some of them: ./dev test -k NAME",
    "testserver": "./dev up",
}
