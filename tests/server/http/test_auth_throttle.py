"""The authentication throttle: the address that it counts by, its minute, and its limit of addresses."""

from __future__ import annotations

import pytest

from exporter.server.http.auth_throttle import MAX_ADDRESSES, AuthThrottle, client_address, rate_limits

PEER = "192.0.2.9"


@pytest.mark.parametrize(
    ("forwarded_for", "hops", "client"),
    [
        ("203.0.113.7", 0, PEER),
        ("203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1,203.0.113.7 ,192.0.2.1", 2, "203.0.113.7"),
        ("2001:db8::7", 1, "2001:db8::7"),
        ("", 1, PEER),
        ("203.0.113.7", 2, PEER),
        ("unknown", 1, PEER),
        ("203.0.113.7,", 1, PEER),
        ("198.51.100.1, 203.0.113.7:1234", 1, "203.0.113.7"),
        ("[2001:db8::7]:1234", 1, "2001:db8::7"),
        ("[2001:db8::7]", 1, "2001:db8::7"),
        ("[203.0.113.7]:1234", 1, PEER),
        ("[2001:db8::7]1234", 1, PEER),
        ("203.0.113.7:", 1, PEER),
        ("203.0.113.7:http", 1, PEER),
        ("203.0.113.7:123456", 1, PEER),
        ("<script>", 1, PEER),
    ],
)
def test_the_sender_is_whom_the_outermost_trusted_proxy_saw_and_junk_is_not_trusted(
    forwarded_for: str, hops: int, client: str
) -> None:
    assert client_address(PEER, forwarded_for, hops) == client


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:db8:1:2:3:4:5:6", ["2001:db8:1:2::/64", "2001:db8:1::/48"]),
        ("2001:db8:1:2::1", ["2001:db8:1:2::/64", "2001:db8:1::/48"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"]),
        ("fe80::1%eth0", ["fe80::/64", "fe80::/48"]),
        ("", [""]),
    ],
)
def test_an_ipv6_address_is_counted_by_its_networks(address: str, counted_as: list[str]) -> None:
    assert [network for network, _ in rate_limits(address)] == counted_as


def test_whoever_has_a_whole_network_is_still_one_stranger() -> None:
    throttle = AuthThrottle()
    throttled = [throttle.record_failure(f"2001:db8:1:2::{number:x}", float(number)) for number in range(12)]
    assert throttled == [False] * 10 + [True] * 2
    assert not throttle.record_failure("2001:db8:1:3::1", 12.0)


def test_a_site_of_networks_has_a_limit_for_all_of_them() -> None:
    throttle = AuthThrottle()
    throttled = [throttle.record_failure(f"2001:db8:1:{number:x}::1", 0.0) for number in range(102)]
    assert throttled == [False] * 100 + [True] * 2
    assert not throttle.record_failure("2001:db8:2::1", 0.0)


def test_who_fails_is_remembered_for_a_minute_and_for_so_many_addresses() -> None:
    throttle = AuthThrottle()
    assert [throttle.record_failure("192.0.2.1", float(second)) for second in range(12)] == [False] * 10 + [True] * 2
    assert not throttle.record_failure("192.0.2.2", 12.0)
    assert not throttle.record_failure("192.0.2.1", 62.0)  # ten of these in the last minute, not more
    for number in range(MAX_ADDRESSES):
        throttle.record_failure(f"address {number}", 63.0)
    assert not throttle.record_failure("192.0.2.1", 63.0)  # forgotten among so many
