//! The record of a cloud migration: worlds that must hold, and omissions that must be caught by the property named.

use std::collections::BTreeSet;

use flotilla_tests::model::migration::{Migration, Omission};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores everything within the bounds: no property is broken, and the fewest states expected were seen.
fn holds(model: Migration, states_min: usize) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{} states, at most {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.unique_state_count() >= states_min, "only {} states", checker.unique_state_count());
}

/// Explores with one guard taken out until the property named is seen broken.
fn catches(omission: Omission, property: &'static str, model: Migration) {
    let broken = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let model = Migration { omission: Some(omission), ..model };
    let checker = model.checker().finish_when(broken).spawn_bfs().join();
    let path =
        checker.discovery(property).unwrap_or_else(|| panic!("{omission:?} did not break \"{property}\""));
    println!("{omission:?} breaks \"{property}\" ({} states)", checker.unique_state_count());
    path.into_actions().iter().for_each(|step| println!("  {step:?}"));
}

/// One owner, nobody cancels, freezes last.
fn undisturbed() -> Migration {
    Migration { epochs: 1, writes: 1, cancels: false, lapses: false, omission: None }
}

mod worlds {
    use super::*;

    #[test]
    fn one_owner_and_busy_groups() {
        holds(Migration { writes: 2, ..undisturbed() }, 100_000);
    }

    #[test]
    fn cancelled_at_any_moment() {
        holds(Migration { cancels: true, ..undisturbed() }, 18_000);
    }

    #[test]
    fn freezes_lapse() {
        holds(Migration { lapses: true, ..undisturbed() }, 14_000);
    }

    #[test]
    fn owners_crash_and_are_replaced() {
        holds(Migration { epochs: 3, writes: 0, cancels: true, ..undisturbed() }, 74_000);
    }

    #[test]
    fn everything_at_once() {
        holds(Migration { epochs: 2, cancels: true, lapses: true, ..undisturbed() }, 356_000);
    }
}

mod omissions {
    use flotilla_tests::model::migration::properties::*;

    use super::*;

    fn replaced() -> Migration {
        Migration { epochs: 2, ..undisturbed() }
    }

    fn cancelled() -> Migration {
        Migration { cancels: true, ..undisturbed() }
    }

    #[test]
    fn a_terminal_state_is_overwritten() {
        catches(Omission::TerminalOverwritten, TERMINAL_STAYS, cancelled());
    }

    #[test]
    fn the_freeze_is_checked_at_the_edge_only() {
        catches(Omission::FreezeAtTheEdge, READ_ONLY, undisturbed());
    }

    #[test]
    fn the_freeze_is_checked_at_the_edge_only_and_the_cut_is_torn() {
        catches(Omission::FreezeAtTheEdge, ONE_CUT, undisturbed());
    }

    #[test]
    fn a_step_does_not_compare_the_state() {
        catches(Omission::StateNotCompared, FORWARD, undisturbed());
    }

    #[test]
    fn a_late_freeze_sticks() {
        catches(Omission::FreezeWithoutMark, NOBODY_LEFT_FROZEN, cancelled());
    }

    #[test]
    fn a_stale_owner_is_not_fenced() {
        catches(Omission::EpochNotCompared, ONE_OWNER, replaced());
    }

    #[test]
    fn a_group_is_dumped_as_it_is() {
        catches(Omission::DumpUnfrozen, ONE_CUT, Migration { lapses: true, ..undisturbed() });
    }

    #[test]
    fn the_dump_does_not_wait_for_the_barrier() {
        catches(Omission::DumpBeforeAcks, ONE_CUT, Migration { lapses: true, ..undisturbed() });
    }

    #[test]
    fn an_error_forgets_to_thaw() {
        catches(Omission::ErrorForgetsThaw, NOBODY_LEFT_FROZEN, undisturbed());
    }

    #[test]
    fn a_cancellation_forgets_to_thaw() {
        catches(Omission::CancelForgetsThaw, NOBODY_LEFT_FROZEN, cancelled());
    }

    #[test]
    fn a_dead_owners_compensations_are_nobodys() {
        catches(Omission::TerminalIsNotClaimed, ENDS, replaced());
    }
}
