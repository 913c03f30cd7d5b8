//! Counting over time, and drawing it.

use tollgate_limiter::ShardTime;

use super::harness::PIPE;
use crate::replay::plot;
use crate::replay::screen::Screen;
use crate::replay::series::{Bin, Series};

const HOUR_S: i64 = 3_600;

fn at_s(second: i64) -> ShardTime {
    ShardTime::from_nanos(second * 1_000_000_000)
}

/// So many requests in each hour from 1 January 1970 on: allowed and denied.
fn hourly(hours: &[(u64, u64)]) -> Series {
    let mut series = Series::default();
    for (hour, (allowed, denied)) in hours.iter().enumerate() {
        let at = at_s(hour as i64 * HOUR_S);
        (0..*allowed).for_each(|_| series.count(at, true));
        (0..*denied).for_each(|_| series.count(at, false));
    }
    series
}

#[test]
fn bins_are_joined_when_there_are_too_many_and_lose_nothing() {
    for (step_s, width_s, bins) in
        [(1, 5, 400), (60, 300, 400), (86_400, 604_800, 286), (40 * 86_400, 16 * 604_800, 714)]
    {
        let mut series = Series::default();
        (0..2_000).for_each(|number| series.count(at_s(number * step_s), number % 4 == 0));
        assert_eq!((series.width_s(), series.bins().count()), (width_s, bins), "every {step_s} s");
        let sum =
            series.bins().fold((0, 0), |(allowed, denied), (_, bin)| (allowed + bin.allowed, denied + bin.denied));
        assert_eq!(sum, (500, 1_500), "every {step_s} s");
    }
}

#[test]
fn gaps_are_empty_bins_and_time_before_1970_is_no_exception() {
    let mut series = Series::default();
    [-3, 0, 0].into_iter().for_each(|second| series.count(at_s(second), true));
    let bins: Vec<_> = series.bins().collect();
    let (one, two) = (Bin { allowed: 1, denied: 0 }, Bin { allowed: 2, denied: 0 });
    let none = Bin::default();
    assert_eq!(bins, [(at_s(-3), one), (at_s(-2), none), (at_s(-1), none), (at_s(0), two)]);
    assert_eq!(series.within(1).bins().map(|(_, bin)| bin).collect::<Vec<_>>(), [one, two]);
}

#[test]
fn denied_requests_stand_on_top_of_allowed_ones_and_are_never_too_few_to_see() {
    let series = hourly(&[(16, 0), (8, 8), (9, 0), (1, 0), (0, 0), (15, 1), (0, 4)]).within(10);
    let expected = "
      16 │█░   ░
         │█░   █
         │█░   █
         │█░▄  █
         │███  █
         │███  █
         │███  █░
       0 │███▄ █░
         └───────
          1970-01-01 00:00  1970-01-01 06:00
          █ allowed  ░ denied, requests in 1h a column, UTC
";
    let drawn = plot::draw(&series, PIPE);
    assert_eq!(format!("\n{drawn}"), expected);
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let series = hourly(&[(3, 1), (0, 2)]);
    let coloured = plot::draw(&series, Screen { has_colour: true, ..PIPE });
    assert!(coloured.contains("\u{1b}[31m░\u{1b}[0m"), "{coloured}");
    assert!(!plot::draw(&series, PIPE).contains('\u{1b}'));
}

#[test]
fn a_plot_is_no_wider_than_its_screen() {
    let series = hourly(&[(2, 1); 97]);
    for columns in [40, 60, 100] {
        let drawn = plot::draw(&series, Screen { columns, ..PIPE });
        let widest = drawn.lines().filter(|line| !line.contains("allowed")).map(|line| line.chars().count()).max();
        assert!(widest <= Some(columns.max(44)), "{columns} columns:\n{drawn}");
    }
}
