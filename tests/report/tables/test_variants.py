"""What a comparison's rows say, from figures written by hand."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from agropest.analysis.compared import ComparedVariant, Comparison, Effect, SeedFacts
from agropest.analysis.ranking import RankedTrial
from agropest.csv_text import to_csv
from agropest.report.columns.variants import verdict
from agropest.report.observations import observations
from agropest.report.page.tables.sweep import effect_table, variant_table
from agropest.report.tables.latex import ranking_latex
from agropest.report.tables.variants import (
    comparison_rows,
    comparison_table,
    effect_rows,
    effects_table,
    table_texts,
)
from agropest.report.verdicts import headline, remarks, seed_intervals
from agropest.statistics.inference import (
    BETTER,
    INCONCLUSIVE,
    UNFINISHED,
    UNKNOWN,
    WORSE,
    Difference,
    Estimate,
    Interval,
)
from agropest.statistics.rare_classes import FewImages
from agropest.store.records import TrialState

BETTER_BY_FIVE = Difference(5.0, Interval(1.5, 8.5), 0.00396, 0.0123, BETTER, 4.96)
UNCLEAR = Difference(0.004, Interval(-0.004, 0.012), 0.5, 0.7, INCONCLUSIVE, 1.0)
BASE = ComparedVariant("base", Estimate(40.0, Interval(37.0, 43.0)), 2, seeds=(1,), iterations=(30,), notes=("a note",))
GOOD = ComparedVariant(
    "good",
    Estimate(45.0, Interval(42.0, 48.0)),
    1,
    seeds=(1, 2),
    iterations=(30, 20),
    by_seed=(Estimate(44.0, Interval(41.0, 47.0)), Estimate(46.0, Interval(43.5, 49.0))),
    seed_spread=1.414,
    difference=BETTER_BY_FIVE,
)
SLOW = ComparedVariant(
    "slow",
    Estimate(30.0, None),
    status=TrialState.STOPPED,
    seeds=(1,),
    iterations=(10,),
    equal_iterations=(10,),
    difference=UNCLEAR,
)
COMPARISON = Comparison("AP", "base", 24, 20, 48, 2000, 0.95, (GOOD, BASE, SLOW), "")


def trial(label: str, seed: int, val_iteration: int) -> RankedTrial:
    return RankedTrial(1, label, seed, "finished", 30, 30, val_iteration, {"AP": 44.0}, {}, 1.0, "0" * 16, "", ())


def test_a_variant_has_the_sample_and_the_spread_behind_it() -> None:
    good, base, slow = comparison_rows(COMPARISON)
    assert [good[name] for name in ("images", "sources", "boxes", "seeds", "seed_sd")] == [24, 20, 48, "1 2", 1.41]
    assert (base["seed_sd"], base["difference"], base["difference_p"]) == (None, None, None)
    assert (good["difference_p"], good["difference_p_adjusted"]) == (0.00396, 0.0123)
    assert str(slow["difference_low"]) == "0.0"  # not -0.0
    assert (
        comparison_rows(replace(COMPARISON, variants=(replace(GOOD, difference=TINY),)))[0]["difference_p"] == 3.21e-9
    )


TINY = replace(BETTER_BY_FIVE, p=3.2111e-9)


def test_a_verdict_says_when_it_is_at_equal_iterations() -> None:
    assert [verdict(one, COMPARISON) for one in COMPARISON.variants] == [
        "better",
        "baseline",
        "inconclusive at equal iterations",
    ]


def test_a_seed_has_the_interval_of_the_evaluation_it_is_ranked_by() -> None:
    assert seed_intervals(COMPARISON)["good", 2, 20] == Interval(43.5, 49.0)
    texts = table_texts(COMPARISON, [trial("good", 1, 30), trial("good", 2, 30)], "heading")
    rows = [line.split(",") for line in texts["ranking.csv"].splitlines()]
    assert [row[rows[0].index("val_low")] for row in rows[1:]] == ["41.0", ""]  # seed 2 was compared by another one


def test_small_p_values_are_not_shown_as_zero() -> None:
    row = next(line for line in table_texts(COMPARISON, [], "heading")["ranking.md"].splitlines() if "| good |" in line)
    assert "| 0.004 | 0.012 |" in row


def test_effects_are_written_with_kind_interval_p_and_verdict() -> None:
    effects = (Effect("interaction", ("anchors", "loss"), BETTER_BY_FIVE, 4.2),)
    text = to_csv(effect_rows(replace(COMPARISON, effects=effects)))
    assert text.splitlines() == [
        "effect,factor,difference,difference_low,difference_high,difference_p,difference_p_adjusted,verdict,detectable,"
        "AP_deployed",
        "interaction,anchors x loss,5.0,1.5,8.5,0.00396,0.0123,better,4.96,4.2",
    ]
    assert "effects.csv" in table_texts(replace(COMPARISON, effects=effects), [], "heading")
    assert "effects.csv" not in table_texts(COMPARISON, [], "heading")


def test_what_all_variants_have_in_common_is_said_of_all() -> None:
    assert "base: a note" in remarks(COMPARISON)
    alike = replace(COMPARISON, variants=(BASE, replace(SLOW, notes=("a note",))))
    assert "Every variant: a note" in remarks(alike)


def test_what_is_known_of_seeds_is_said_with_its_source() -> None:
    told = "\n".join(remarks(replace(COMPARISON, seeds=SeedFacts(0.577, 7.8, 12, 4, "the variants of this sweep"))))
    assert "moves a variant's AP by 0.58 (standard deviation; 8 degrees of freedom, 12 trainings of 4 variants" in told
    assert "from the variants of this sweep)" in told
    assert "spread significantly more" not in told
    none = SeedFacts(0.0, 3.0, 6, 3, "the variants of this sweep", ("focal",))
    lines = remarks(replace(COMPARISON, seeds=none))
    assert (
        "Seeds: trainings differ by no more than the images explain, as far as these few show (3 degrees of freedom, 6 "
        "trainings of 3 variants, from the variants of this sweep). Intervals and verdicts include it. focal spread "
        "significantly more: judged by that spread alone."
    ) in lines
    unknown = replace(GOOD, difference=replace(BETTER_BY_FIVE, verdict=UNKNOWN))
    lines = remarks(replace(COMPARISON, variants=(unknown, BASE)))
    assert any("cover image sampling only" in line for line in lines)
    assert any(line.startswith(f"'{UNKNOWN}'") and "Take two or more seeds" in line for line in lines)
    cut = replace(GOOD, difference=replace(BETTER_BY_FIVE, verdict=UNFINISHED))
    assert any(line.startswith(f"'{UNFINISHED}'") for line in remarks(replace(COMPARISON, variants=(cut, BASE))))


def test_what_a_difference_owes_to_few_images_is_said() -> None:
    few = replace(GOOD, few=FewImages(4.2, {"Moths": 1, "Wasps": 3}))
    lines = remarks(replace(COMPARISON, variants=(few, BASE), missing=("Flies",)))
    assert (
        "good: +4.20 of its difference of +5.00 rests on classes in fewer than 6 images: Moths (1), Wasps (3)." in lines
    )
    assert "Flies: no such object to find; AP is the mean of the other classes." in lines


def test_a_headline_of_many_variants_names_the_sample_whole() -> None:
    many = replace(COMPARISON, variants=tuple(replace(GOOD, label=f"v{number}") for number in range(9)))
    told = headline(many)
    assert told.startswith("By AP on 24 images of 20 sources with 48 boxes: better than base: v0 (+5.00), ")
    unclear = replace(many, variants=tuple(replace(one, difference=UNCLEAR) for one in many.variants))
    assert "a true difference is detectable from about 1.0" in headline(unclear)


def test_a_difference_that_rounds_to_nothing_is_neither_higher_nor_lower() -> None:
    (line, *_) = observations(SLOW, COMPARISON, [])
    assert line.startswith("Validation AP is to two decimals equal to base's at iteration 10")
    assert "by 0.00" not in line


def test_where_nothing_could_have_been_detected_every_table_says_nothing() -> None:
    """Five images establish no difference, however large."""
    told = replace(UNCLEAR, detectable=None)
    effects = (Effect("main effect", ("anchors",), told),)
    comparison = replace(COMPARISON, variants=(replace(GOOD, difference=told), BASE), effects=effects)
    assert comparison_rows(comparison)[0]["detectable"] is None
    assert effect_rows(comparison)[0]["detectable"] is None
    assert "Det." not in ranking_latex(comparison, "t")
    assert r"& -- \\" in ranking_latex(replace(comparison, variants=(*comparison.variants, SLOW)), "t")
    for table in (variant_table(comparison), effect_table(comparison)):
        assert table is not None
        if "detectable" in table.headings:
            assert table.rows[0][table.headings.index("detectable")].text == "–"
    assert comparison_table(comparison, [], "x").row_count == 2
    assert effects_table(comparison).row_count == 1
    assert "detectable from" not in headline(comparison)


def test_an_interval_shows_on_which_side_of_zero_its_edges_lie() -> None:
    told = Difference(-0.22, Interval(-0.43, -0.02), 0.01, 0.03, WORSE, 0.3)
    comparison = replace(COMPARISON, variants=(replace(GOOD, difference=told), BASE))
    stream = io.StringIO()
    Console(file=stream, width=200).print(comparison_table(comparison, [], "x"))
    assert "-0.22 [-0.43, -0.02]" in stream.getvalue()
    assert "45.00 [42.0, 48.0]" in stream.getvalue()


def test_a_narrow_console_gets_fewer_columns_and_whole_words() -> None:
    stream = io.StringIO()
    Console(file=stream, width=100).print(comparison_table(COMPARISON, [trial("good", 1, 30)], "x", 100))
    shown = stream.getvalue()
    assert "…" not in shown
    for word in ("good", "base", "slow", "better", "+5.00 [1.5, 8.5]", "45.00 [42.0, 48.0]"):
        assert word in shown
    assert "time" not in shown
    assert len(comparison_table(COMPARISON, [], "x").columns) > len(comparison_table(COMPARISON, [], "x", 100).columns)


def test_what_would_settle_an_open_question_is_said() -> None:
    """An error of 2, of which three quarters are seeds; 3 is called where the squared error is at most (3 / 2)^2."""
    told = Difference(3.0, Interval(-1.0, 7.0), 0.1, 0.2, INCONCLUSIVE, 5.6, "", 2.0, 0.75, 2.0, 2.0)
    told = replace(told, averaged_share=0.75)
    open_one = replace(GOOD, seeds=(1, 2), difference=told)
    base = replace(BASE, seeds=(1, 2))
    facts = SeedFacts(1.7, 2.0, 4, 2, "the variants of this sweep")
    lines = remarks(replace(COMPARISON, variants=(open_one, base), seeds=facts))
    assert (
        "good: of its squared error 75% seeds, 25% images; "
        "a true difference of +3.00 would be settled by about 5 seeds each instead of 2."
    ) in lines
    images = replace(open_one, difference=replace(told, seeds_share=0.25, averaged_share=0.25))
    lines = remarks(replace(COMPARISON, variants=(images, base), seeds=facts))
    # Images 3 of 4: they must fall to 1.25, by 2.4 times.
    assert any("settled by about 58 images." in line for line in lines)
    assert not any("squared error" in line for line in remarks(replace(COMPARISON, variants=(open_one, base))))
    alike = replace(open_one, difference=replace(told, value=0.004))
    lines = remarks(replace(COMPARISON, variants=(alike, base), seeds=facts))
    assert not any("squared error" in line for line in lines)


def test_where_nothing_has_finished_no_intervals_are_explained() -> None:
    assert any(line.startswith("Intervals: ") for line in remarks(COMPARISON))
    assert not any(line.startswith("Intervals: ") for line in remarks(replace(COMPARISON, resamples=0)))
