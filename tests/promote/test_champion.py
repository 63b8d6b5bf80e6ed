"""The champion's pointer on the real store: who wins it, what it names, what its history keeps, and the commands."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from published import RECIPE, candidate, predictions, put

from flows.cli import main
from tasks import retention
from tasks.errors import MatliftError
from tasks.handles import Bundle
from tasks.promote import promote
from tasks.promote.candidate import COMPARED
from tasks.promote.champion import Outcome, challenge, current, place, promote_by_hand, rollback
from tasks.recipe import Gate
from tasks.store import Store

READS, PROMOTIONS = 500, 50


def publish(store: Store, number: int, scale: float, seed: int = 0) -> Bundle:
    return put(store, candidate(number, predictions(scale, seed=seed)))


def history(store: Store) -> list[tuple[str, str]]:
    return [(entry["bundle"][-1], entry["ended"]) for entry in current(store, RECIPE)["history"]]


def decisions(store: Store) -> list[dict[str, object]]:
    folder = f"bundles/{RECIPE}/decisions/"
    return [store.pointer(path) or {} for path in store.files.find(folder.rstrip("/"))]


def test_a_better_bundle_takes_over_and_what_was_decided_is_published(store: Store) -> None:
    first, worse, better = (publish(store, n, scale, n) for n, scale in ((1, 1.0), (2, 1.3), (3, 0.8)))
    outcomes = [promote.fn(bundle, Gate()) for bundle in (first, worse, better, better)]
    assert [outcome.decision and outcome.decision.promote for outcome in outcomes] == [True, False, True, None]
    pointer = current(store, RECIPE)
    assert (pointer["bundle"], pointer["path"]) == (better.fingerprint, better.path)
    assert history(store) == [("1", "replaced")]
    published = {one["challenger"]["bundle"]: one for one in decisions(store)}  # type: ignore[index]
    assert set(published) == {first.fingerprint, worse.fingerprint, better.fingerprint}
    assert store.pointer(pointer["decision"]) == published[better.fingerprint]
    said = published[worse.fingerprint]
    assert said["promote"] is False
    assert said["verdict"] == outcomes[1].decision.verdict
    assert said["champion"]["bundle"] == first.fingerprint  # type: ignore[index]
    assert said["comparison"]["difference"]["low"] > 0  # type: ignore[index]
    assert [check["passed"] for check in said["checks"]] == [True] * 4  # type: ignore[index, attr-defined]


def test_deciding_again_publishes_nothing_new(store: Store) -> None:
    for bundle in (publish(store, 1, 1.0), publish(store, 2, 1.3)):
        challenge(store, bundle, 0.95)
    before = {path: store.files.get(path) for path in store.files.find("")}
    assert challenge(store, Bundle(f"{2:016x}", RECIPE), 0.95).decision
    assert {path: store.files.get(path) for path in store.files.find("")} == before


def test_of_two_who_promote_at_once_exactly_one_wins(store: Store) -> None:
    challenge(store, publish(store, 1, 1.0), 0.95)
    rivals = [publish(store, number, 0.8, seed=4) for number in (2, 3)]  # both better than the champion, alike
    start = threading.Barrier(2)

    def contend(bundle: Bundle) -> Outcome:
        own = Store(store.url)
        own.holds(bundle)
        start.wait()
        return challenge(own, bundle, 0.95)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(contend, rivals))
    won = [outcome.decision is not None and outcome.decision.promote for outcome in outcomes]
    assert sorted(won) == [False, True]
    assert current(store, RECIPE)["bundle"] == rivals[won.index(True)].fingerprint
    assert history(store) == [("1", "replaced")]
    lost = outcomes[won.index(False)].decision
    assert lost is not None
    assert lost.champion is not None
    assert lost.champion["bundle"] == rivals[won.index(True)].fingerprint  # it decided again, on the new champion


def test_the_pointer_always_names_a_complete_bundle(store: Store) -> None:
    small = [candidate(number, predictions(1.0, range(40), seed=number)) for number in (1, 2)]
    needed = [*COMPARED, "weights.safetensors"]
    bundles = [put(store, replace(one, files={name: one.files[name] for name in needed})) for one in small]
    promote_by_hand(store, bundles[0], 0.95)
    read: list[bool] = []
    over = threading.Event()

    def look() -> None:
        own = Store(store.url)
        while not over.is_set() or len(read) < READS:
            pointer = own.pointer(place(RECIPE))
            assert pointer is not None
            time.sleep(0.05)
            read.append(pointer["path"] == f"bundles/{RECIPE}/{pointer['bundle']}" and own.holds(bundle_of(pointer)))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(look) for _ in range(3)]
        for number in range(1, PROMOTIONS + 1):
            promote_by_hand(store, bundles[number % 2], 0.95)
        over.set()
        for reader in readers:
            reader.result()
    assert len(read) >= READS
    assert all(read)
    assert len(history(store)) == PROMOTIONS


def bundle_of(pointer: dict[str, str]) -> Bundle:
    return Bundle(pointer["bundle"], RECIPE)


@pytest.mark.parametrize("damage", ["no manifest", "flipped byte", "file missing"])
def test_a_bundle_that_is_not_whole_is_never_promoted(store: Store, damage: str) -> None:
    first, second = publish(store, 1, 1.0), publish(store, 2, 0.5)
    challenge(store, first, 0.95)
    if damage == "flipped byte":
        store.files.replace(f"{second.path}/README.md", b"# Band gaps of alloyz\n")
    else:
        store.files.remove([f"{second.path}/{'manifest.json' if damage == 'no manifest' else 'README.md'}"])
    for attempt in (challenge, promote_by_hand):
        with pytest.raises(MatliftError, match=second.path):
            attempt(store, second, 0.95)
    assert current(store, RECIPE)["bundle"] == first.fingerprint


def test_a_champion_that_is_gone_is_replaced_by_a_valid_bundle(store: Store) -> None:
    first, second = publish(store, 1, 0.5), publish(store, 2, 1.0)
    challenge(store, first, 0.95)
    store.files.remove([f"{first.path}/manifest.json"])
    outcome = challenge(store, second, 0.95)
    assert current(store, RECIPE)["bundle"] == second.fingerprint
    assert outcome.decision
    assert "is gone" in outcome.decision.verdict


def test_what_was_rolled_back_comes_back_by_hand_alone(store: Store) -> None:
    first, second, third = (publish(store, number, scale, number) for number, scale in ((1, 1.0), (2, 0.8), (3, 0.6)))
    for bundle in (first, second, third):
        challenge(store, bundle, 0.95)
    assert rollback(store, RECIPE)["bundle"] == second.fingerprint
    outcome = challenge(store, third, 0.95)
    assert outcome.decision
    assert not outcome.decision.promote
    assert "only a person promotes it again" in outcome.decision.verdict
    assert rollback(store, RECIPE)["bundle"] == first.fingerprint
    with pytest.raises(MatliftError, match="is the first champion of alloys: there is none to go back to"):
        rollback(store, RECIPE)
    promote_by_hand(store, third, 0.95)
    assert history(store) == [
        ("1", "replaced"),
        ("2", "replaced"),
        ("3", "rolled back"),
        ("2", "rolled back"),
        ("1", "replaced"),
    ]
    assert rollback(store, RECIPE)["bundle"] == first.fingerprint


def test_a_person_may_promote_what_is_worse_but_not_what_is_not_valid(store: Store) -> None:
    first, worse = publish(store, 1, 1.0), publish(store, 2, 1.5, seed=2)
    invalid = put(store, candidate(3, predictions(0.5), weight=float("nan")))
    challenge(store, first, 0.95)
    outcome = promote_by_hand(store, worse, 0.95)
    assert outcome.decision
    assert outcome.decision.verdict.startswith("Promoted by hand. The gate: It is not as good")
    with pytest.raises(MatliftError, match=r"was not promoted\. The validation failed: weights and errors are finite"):
        promote_by_hand(store, invalid, 0.95)
    assert current(store, RECIPE)["bundle"] == worse.fingerprint


def test_prune_keeps_champions_and_their_history(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "YOUNG", -timedelta(days=1))
    bundles = [publish(store, number, 1.0 - number / 20, number) for number in range(1, 7)]
    for bundle in (bundles[0], bundles[2], bundles[3]):
        promote_by_hand(store, bundle, 0.95)
    rollback(store, RECIPE)
    decided = decisions(store)
    kept = retention.prune(store, 1).kept
    assert kept == [bundles[place].path for place in (0, 2, 3, 5)]  # all that were champion, and the latest
    assert decisions(store) == decided
    assert rollback(store, RECIPE)["bundle"] == bundles[0].fingerprint


def test_the_commands_show_the_champion_promote_and_go_back(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    def said(*arguments: str) -> str:
        assert main([*arguments, "--store", store.url]) == 0
        return capsys.readouterr().out

    def refused(*arguments: str) -> str:
        assert main([*arguments, "--store", store.url]) == 1
        return capsys.readouterr().err

    assert refused("champion", RECIPE).startswith(f"matlift: {RECIPE} has no champion in the store {store.url}: ")
    assert refused("promote", RECIPE).startswith(f"matlift: {RECIPE} has no bundle in the store {store.url}: ")
    first, second = publish(store, 1, 1.0), publish(store, 2, 0.8)
    assert f"{second.path} is now champion. Promoted by hand." in said("promote", RECIPE)
    assert said("promote", RECIPE, "0000000000000002") == f"{second.path} is the champion already.\n"
    assert f"{first.path} is now champion." in said("promote", RECIPE, f"{store.url}/{first.path}")
    shown = said("champion", RECIPE)
    assert re.search(rf"Champion since 20..-..-.. ..:..:.. UTC: {store.url}/{first.path}", shown)
    assert "errs by" in shown
    assert re.search(r"│ 0000000000000002 │ .* │ replaced │", shown)
    assert f"{store.url}/{second.path}" in said("rollback", RECIPE)
    assert "several bundles 0" in refused("promote", RECIPE, "0")
    assert "no bundle 9" in refused("promote", RECIPE, "9")
    assert json.loads(store.files.get(place(RECIPE)) or b"")["bundle"] == second.fingerprint
