"""What a cluster's processes tell one another, through files in its directory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.postgres.account import Account

# Exit code by which a keeper says that another one lives.
ALREADY_KEPT = 75


@dataclass(frozen=True)
class Files:
    """The files of a cluster's directory."""

    directory: Path

    @property
    def starting(self) -> Path:
        """Held exclusively by whoever starts a keeper."""
        return self.directory / "start.lock"

    @property
    def keeping(self) -> Path:
        """Held exclusively by the keeper while it lives."""
        return self.directory / "keeper.lock"

    @property
    def using(self) -> Path:
        """Held shared by every user, and exclusively by the keeper that stops the server."""
        return self.directory / "users.lock"

    @property
    def databases(self) -> Path:
        """Held exclusively while a database is made."""
        return self.directory / "databases.lock"

    @property
    def server(self) -> Path:
        """Describes the running server; meaningful while ``keeping`` is held."""
        return self.directory / "server.json"

    @property
    def log(self) -> Path:
        """What the keeper, initdb and PostgreSQL say, since the last start."""
        return self.directory / "postgres.log"


@dataclass(frozen=True)
class Plan:
    """What a keeper is told to run."""

    directory: Path
    programs: Path
    home: Path
    sockets: Path
    account: Account
    settings: dict[str, str]

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @property
    def last_port(self) -> Path:
        return self.home / "port"

    def dumps(self) -> str:
        return json.dumps(
            {
                "directory": str(self.directory),
                "programs": str(self.programs),
                "home": str(self.home),
                "sockets": str(self.sockets),
                "account": [self.account.uid, self.account.gid],
                "settings": self.settings,
            }
        )

    @classmethod
    def loads(cls, text: str) -> Self:
        plan = json.loads(text)
        paths = {name: Path(plan[name]) for name in ("directory", "programs", "home", "sockets")}
        return cls(**paths, account=Account(*plan["account"]), settings=plan["settings"])


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, and where its programs and its password are."""

    keeper: int
    port: int
    sockets: str
    programs: str
    password: str

    def write(self, path: Path) -> None:
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.__dict__))
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
