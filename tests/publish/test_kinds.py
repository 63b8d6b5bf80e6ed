"""What a card says of features is true of the features of the recipe."""

from tasks.publish.kinds import FRACTIONS, entering, kind_of
from tasks.recipe import Estate, Fractions, Statistics

FEW = Fractions(kind="fractions", elements=("Fe", "O"))
STATISTICS = Statistics(kind="statistics")


def test_features_are_cited() -> None:
    assert "10.1021/ci00028a014" in kind_of("dyes", Estate(kind="estate", topology=False)).citation
    assert kind_of("compositions", FEW).citation == FRACTIONS
    assert "10.1038/npjcompumats.2016.28" in kind_of("compositions", STATISTICS).citation


def test_it_is_said_as_what_a_row_enters() -> None:
    assert entering(FEW) == "the fractions of 2 elements"
    assert entering(STATISTICS).startswith("the mean, deviation, minimum, maximum, range, mode of 19 properties")
    assert "rings" in entering(Estate(kind="estate", topology=True))
    assert entering(Estate(kind="estate", topology=False)).startswith("the counts and sums of its electrotopological")
    some = Estate(kind="estate", topology=False, statistics=("sum", "minimum", "maximum"))
    assert entering(some).startswith("the sums, minima and maxima of its")
    alone = Estate(kind="estate", topology=False, statistics=("sum",))
    assert entering(alone).startswith("the sums of its")


def test_statistics_do_not_claim_to_have_seen_each_element() -> None:
    assert kind_of("compositions", FEW).known == "in any proportion"
    assert "properties alone" in kind_of("compositions", STATISTICS).known
