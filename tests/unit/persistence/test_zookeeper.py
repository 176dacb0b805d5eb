"""What a ZooKeeper URL means, and what stands in a znode: no server is needed for that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowbook.exceptions import NotPossible, TooLarge
from flowbook.persistence.options import Options
from flowbook.persistence.owners import current_owner
from flowbook.persistence.zookeeper.address import Address, address_of
from flowbook.persistence.zookeeper.backend import ZookeeperBackend
from flowbook.persistence.zookeeper.head import Base, Head, OfNewerFormat, head_in
from flowbook.persistence.zookeeper.names import place_of, quoted, unquoted
from flowbook.persistence.zookeeper.sealing import document_in, sealed, unsealed

PLACE = "keys/flow/f"
HEAD = Head("flow:f", 3, 2, 7, Base("aa", 1, 4, 5), current_owner(), 12.5, {"book": "b", "atoms": 2}, "bb")


def address(url: str) -> Address:
    return address_of(Options(url))


class TestUrls:
    def test_a_url_names_servers_and_a_path(self) -> None:
        found = address("zookeeper://one:2181,two:2182,[::1]:2183/runs/here?timeout_s=3&session_timeout_s=5")
        assert (found.hosts, found.root) == ("one:2181,two:2182,[::1]:2183", "/runs/here")
        assert (found.timeout_s, found.session_timeout_s) == (3.0, 5.0)

    @pytest.mark.parametrize("url", ["zk://one", "zookeeper://one:2181/", "zookeeper://one:2181"])
    def test_without_a_path_it_lies_in_flowbook(self, url: str) -> None:
        assert address(url).root == "/flowbook"

    @pytest.mark.parametrize(
        ("url", "says", "todo"),
        [
            ("zookeeper:", "names no server", "zookeeper://HOST:2181/PATH"),
            ("zookeeper:///runs", "names no server", "zookeeper://HOST:2181/PATH"),
            ("zookeeper://one,,two/runs", "is no server", "HOST:2181"),
            ("zookeeper://one:port/runs", "is no server", "HOST:2181"),
            ("zookeeper://one:99999/runs", "is no server", "HOST:2181"),
            ("zookeeper://me:s3cret@one/runs", "a user does not stand before the servers", "sasl_user"),
            ("zookeeper://one/runs/../up", "no path for a logbook", "plain names"),
            ("zookeeper://one/zookeeper/quota", "no path for a logbook", "plain names"),
            ("zookeeper://one/runs?sasl_password=s3cret", "sasl_password needs sasl_user", "sasl_user"),
            ("zookeeper://one/runs?sasl_user=me&sasl_password=${NO_SUCH_NAME}", "no environment variable", "export"),
            ("zookeeper://one/runs?sasl_user=me&sasl_password_file=no-such-file", "is no file", "permissions"),
            ("zookeeper://one/runs?ca=ca.pem", "ca needs use_ssl", "use_ssl=true"),
            ("zookeeper://one/runs?use_ssl=true&ca=no-such-file", "is no file", "permissions"),
            ("zookeeper://one/runs?timeout=3", "no option 'timeout'", "timeout_s"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_what_to_do(self, url: str, says: str, todo: str) -> None:
        with pytest.raises(NotPossible) as caught:
            ZookeeperBackend(url)
        assert says in str(caught.value)
        assert todo in caught.value.todo
        assert "s3cret" not in f"{caught.value}{caught.value.where}"
        assert caught.value.where.startswith("zookeeper:")

    def test_a_znode_that_no_request_could_carry_is_refused(self) -> None:
        with pytest.raises(NotPossible, match="at most 1 MiB"):
            address("zookeeper://one/runs?znode_limit_bytes=1048576")

    def test_a_password_comes_from_the_url_the_environment_or_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OF_MINE", "a secret")
        file = tmp_path / "password"
        file.write_text("a secret\n", encoding="utf-8")
        for option in ("sasl_password=a%20secret", "sasl_password=${OF_MINE}", f"sasl_password_file={file}"):
            found = address(f"zookeeper://one/runs?sasl_user=me&{option}")
            assert found.how["sasl_options"]["password"] == "a secret"
            assert "secret" not in repr(found)

    def test_a_certificate_needs_its_key(self, tmp_path: Path) -> None:
        file = tmp_path / "certificate"
        file.touch()
        with pytest.raises(NotPossible, match="a file and a key") as caught:
            address(f"zookeeper://one/runs?use_ssl=true&certfile={file}")
        assert "keyfile" in caught.value.todo


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "nul\0", "\x80", "\ue000", "\udce9", "%", "%2E", "ü", "zookeeper"]
    )
    def test_any_text_is_a_name_of_plain_characters(self, name: str) -> None:
        assert unquoted(quoted(name)) == name
        assert quoted(name).isascii()
        assert quoted(name).isprintable()
        assert quoted(name) not in ("", ".", "..")
        assert "/" not in quoted(name)

    @pytest.mark.parametrize("name", ["%zz", "%2e", "a b", "%FF", "a%2Fb%2", "~%7E"])
    def test_what_quoting_never_makes_stands_for_nothing(self, name: str) -> None:
        assert unquoted(name) is None

    def test_a_name_that_no_request_could_carry_is_refused(self) -> None:
        with pytest.raises(TooLarge):
            place_of("flow:" + "n" * 20_000)


class TestSeals:
    def test_what_was_sealed_for_a_place_is_read_there_alone(self) -> None:
        data = sealed(b'{"a":1}', PLACE)
        assert document_in(data, PLACE) == {"a": 1}
        with pytest.raises(ValueError, match="checksum"):
            unsealed(data, "keys/flow/g")

    @pytest.mark.parametrize("at", range(len(sealed(b'{"a":1}', PLACE))))
    def test_every_altered_bit_and_every_lost_end_is_found(self, at: int) -> None:
        data = sealed(b'{"a":1}', PLACE)
        for bit in range(8):
            altered = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            with pytest.raises(ValueError, match="checksum"):
                unsealed(altered, PLACE)
        with pytest.raises(ValueError, match="checksum"):
            unsealed(data[:at], PLACE)


class TestHeads:
    def test_a_head_is_read_as_it_was_written(self) -> None:
        assert head_in(HEAD.data(PLACE), PLACE, "flow:f") == HEAD

    def test_a_newer_format_is_told_from_damage(self) -> None:
        document = json.loads(HEAD.data(PLACE)[9:])
        with pytest.raises(OfNewerFormat):
            head_in(sealed(json.dumps({**document, "format": 2}).encode(), PLACE), PLACE, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"format": None},
            {"key": "flow:g"},
            {"epoch": -1},
            {"seq": "2"},
            {"count": 4},
            {"count": True},
            {"base": None},
            {"base": {"token": 1, "parts": 0, "records": 0, "through": 0}},
            {"base": {"no": "base"}},
            {"owner": {"host": "h"}},
            {"owner": 5},
            {"since": "yesterday"},
            {"since": -1.0},
            {"flow": "f"},
            {"more": 1},
        ],
        ids=repr,
    )
    def test_what_no_head_says_is_refused(self, wrong: dict[str, object]) -> None:
        document = json.loads(HEAD.data(PLACE)[9:])
        with pytest.raises(ValueError, match=r"head|numbers|belongs|owner"):
            head_in(sealed(json.dumps({**document, **wrong}).encode(), PLACE), PLACE, "flow:f")

    @pytest.mark.parametrize("row", [{"book": 1}, {"created_at": "x"}, {"updated_at": -1}, {"atoms": 1.5}], ids=repr)
    def test_a_summary_is_not_made_of_something_else(self, row: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="flow record"):
            Head("flow:f", 1, flow=row).summary("f")
