"""`matlift doctor` finds what is wrong, and says what to do about it."""

import os
from collections.abc import Callable

from places import Ended, Place

Places = Callable[[str], Place]

STORE = {"MATLIFT_STORE": "s3://x-bucket/y", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def doctor(place: Place, **environment: str) -> Ended:
    with place.doing("doctor", **environment) as run:
        return run.ended()


def test_a_store_and_a_server_that_are_down_are_two_sentences(place: Places) -> None:
    here = place("nothing up")
    ended = doctor(here, **STORE, AWS_ENDPOINT_URL="http://127.0.0.1:9", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert ended.status == 1
    assert "wrong store the store s3://x-bucket/y does not answer at http://127.0.0.1:9" in ended.said
    assert "wrong server Prefect's server does not answer at http://127.0.0.1:9/api (ConnectError)" in ended.said
    assert "wrong worker" in ended.said
    assert ended.complained == ["matlift: 3 of 5 are not well: store, server, worker, disk, memory were looked at"]


def test_credentials_that_the_store_refuses_are_one_sentence(place: Places, store_server: str) -> None:
    wrong = STORE | {"MATLIFT_STORE": store_server, "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}
    ended = doctor(place("wrong key"), **wrong)
    assert ended.status == 1
    assert f"wrong store the store {store_server} refuses the credentials" in ended.said
    assert "wrong server nothing is up here: start it with `matlift up`" in ended.said
