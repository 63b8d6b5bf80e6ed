"""The champion of a recipe: the pointer that names the bundle in use, its history, and how both change.

Two who promote at once both decide on the champion that they see; the conditional write lets one of them win, and the
other decides again, on the new champion. What is promoted has been read whole a moment before.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tasks.errors import MatliftError
from tasks.handles import Bundle, fingerprint
from tasks.promote.candidate import COMPARED, Candidate
from tasks.promote.gate import Decision, judge
from tasks.s3 import TRIES
from tasks.store import Store

Pointer = Mapping[str, Any]

REPLACED, ROLLED_BACK = "replaced", "rolled back"  # how a champion ended


class Outcome(NamedTuple):
    """What became of a challenger.

    Attributes:
        champion: the pointer, None if there is no champion.
        decision: None if the challenger was the champion already.
    """

    champion: Pointer | None
    decision: Decision | None


def place(recipe: str) -> str:
    """Return where the pointer of a recipe is."""
    return f"{Bundle.kind}/{recipe}/champion.json"


def current(store: Store, recipe: str) -> Pointer:
    """Return the pointer of a recipe: `bundle`, `path`, `since`, `why`, `decision` and `history`, the oldest first.

    Raises:
        MatliftError: the recipe has no champion.
    """
    found = store.pointer(place(recipe))
    if found is None:
        raise MatliftError(
            f"{recipe} has no champion in the store {store.url}: `matlift run {recipe}` publishes a bundle, and "
            "`matlift ls` lists those that there are"
        )
    return found


def latest(store: Store, recipe: str) -> Bundle:
    """Return the bundle of a recipe that was published last.

    Raises:
        MatliftError: there is none.
    """
    found = store.pointer(f"{Bundle.kind}/{recipe}/latest.json")
    if found is None:
        raise MatliftError(f"{recipe} has no bundle in the store {store.url}: run `matlift run {recipe}`")
    return Bundle(found["bundle"], recipe)


def challenge(store: Store, bundle: Bundle, confidence: float) -> Outcome:
    """Let the gate decide on a bundle, and make it champion if it may.

    Raises:
        MatliftError: the bundle is not whole, or others keep promoting.
    """
    return _contest(store, bundle, confidence, by_hand=False)


def promote_by_hand(store: Store, bundle: Bundle, confidence: float) -> Outcome:
    """Make a bundle champion because a person says so, whatever its errors, unless its validation fails.

    Raises:
        MatliftError: the bundle is not whole or not valid, or others keep promoting.
    """
    outcome = _contest(store, bundle, confidence, by_hand=True)
    if outcome.decision and not outcome.decision.promote:
        raise MatliftError(f"{bundle} was not promoted. {outcome.decision.verdict}")
    return outcome


def rollback(store: Store, recipe: str) -> Pointer:
    """Give a recipe the champion back that it had before, and return the pointer.

    The one that goes is not promoted again but by hand.

    Raises:
        MatliftError: there was none before, it is not whole any more, or others keep promoting.
    """
    for _ in range(TRIES):
        seen = current(store, recipe)
        before = _before(seen)
        if before is None:
            raise MatliftError(f"{seen['path']} is the first champion of {recipe}: there is none to go back to")
        bundle = Bundle(before["bundle"], recipe)
        Candidate.read(store, bundle)
        why = f"Rolled back by hand from {seen['path']}."
        new = _successor(seen, bundle, why, before["decision"], ended=ROLLED_BACK)
        if store.swap(place(recipe), seen, new):
            return new
    raise _contended(store, recipe)


def _contest(store: Store, bundle: Bundle, confidence: float, *, by_hand: bool) -> Outcome:
    """Decide on a bundle until the decision is on the champion that there is."""
    challenger: Candidate | None = None
    for _ in range(TRIES):
        seen = store.pointer(place(bundle.recipe))
        if seen and seen["bundle"] == bundle.fingerprint:
            return Outcome(seen, None)
        challenger = challenger or Candidate.read(store, bundle)
        decision = _decided(store, challenger, seen, confidence, by_hand=by_hand)
        path = _publish(store, bundle, decision)
        if not decision.promote:
            return Outcome(seen, decision)
        new = _successor(seen, bundle, decision.verdict, path, ended=REPLACED)
        if store.swap(place(bundle.recipe), seen, new):
            return Outcome(new, decision)
    raise _contended(store, bundle.recipe)


def _decided(
    store: Store, challenger: Candidate, seen: Pointer | None, confidence: float, *, by_hand: bool
) -> Decision:
    """Return the decision on a challenger, beside the champion that was seen."""
    recipe = challenger.bundle.recipe
    used = Bundle(seen["bundle"], recipe) if seen else None
    champion = Candidate.read(store, used, COMPARED) if used and store.holds(used) else None
    decision = judge(challenger, champion, confidence, "" if by_hand else _refusal(challenger.bundle, seen))
    if used and not champion and decision.promote:
        decision = replace(decision, verdict=f"The champion, {used}, is gone, and this bundle is valid.")
    if by_hand and all(check.passed for check in decision.checks):
        return replace(decision, by="hand", promote=True, verdict=f"Promoted by hand. The gate: {decision.verdict}")
    return decision


def _refusal(bundle: Bundle, seen: Pointer | None) -> str:
    """Return why the gate may not promote a bundle again, if so."""
    entries = seen["history"] if seen else []
    last = next((entry for entry in reversed(entries) if entry["bundle"] == bundle.fingerprint), None)
    if last and last["ended"] == ROLLED_BACK:
        return f"It was champion until {last['until']} and was rolled back by hand: only a person promotes it again."
    return ""


def _publish(store: Store, bundle: Bundle, decision: Decision) -> str:
    """Write a decision beside the bundles, once, and return its path."""
    said = asdict(decision)
    path = f"{Bundle.kind}/{bundle.recipe}/decisions/{fingerprint('tasks.promote', said)}.json"
    store.swap(path, None, {"decided": _now(), **said})
    return path


def _successor(seen: Pointer | None, bundle: Bundle, why: str, decision: str | None, *, ended: str) -> Pointer:
    """Return the pointer to a bundle, with the one before in its history."""
    now = _now()
    history = list(seen["history"]) if seen else []
    if seen:
        was = {name: value for name, value in seen.items() if name != "history"}
        history.append({**was, "until": now, "ended": ended})
    return {
        "bundle": bundle.fingerprint,
        "path": bundle.path,
        "since": now,
        "why": why,
        "decision": decision,
        "history": history,
    }


def _before(seen: Pointer) -> Mapping[str, Any] | None:
    """Return the last champion that was replaced and not rolled back since, None if there is none."""
    last = {entry["bundle"]: entry for entry in seen["history"] if entry["bundle"] != seen["bundle"]}
    replaced = [entry for entry in seen["history"] if entry["ended"] == REPLACED and last.get(entry["bundle"]) is entry]
    return replaced[-1] if replaced else None


def _contended(store: Store, recipe: str) -> MatliftError:
    return MatliftError(f"{place(recipe)} in the store {store.url} keeps being changed by others: run again")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
