//! I12: nothing passes vacuously. There was traffic, and every fault really fired.
//!
//! What it does not check: that a fault hit anything that mattered (the sometimes-assertions of a night do).

use crate::record::{Fault, Operation, Outcome, Violation};

/// What a run must have had to prove anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Floor {
    /// So many acknowledged operations.
    pub acknowledged: usize,
    /// So many faults.
    pub faults: usize,
}

/// What is missing.
pub fn check(history: &[Operation], faults: &[Fault], floor: Floor) -> Vec<Violation> {
    let acknowledged = history.iter().filter(|op| matches!(op.outcome, Outcome::Ok(_))).count();
    let mut found = Vec::new();
    let mut add = |at_ns, what| found.push(Violation { at_ns, by: "I12".to_owned(), what, key: None });
    if acknowledged < floor.acknowledged {
        let (least, all) = (floor.acknowledged, history.len());
        add(0, format!("only {acknowledged} of {all} operations were acknowledged, the floor is {least}"));
    }
    if faults.len() < floor.faults {
        add(0, format!("only {} faults were installed, the floor is {}", faults.len(), floor.faults));
    }
    for fault in faults.iter().filter(|fault| fault.evidence.is_empty()) {
        add(
            fault.at_ns,
            format!("nothing shows that the fault {} on nodes {:?} fired", fault.kind, fault.nodes),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    #[test]
    fn what_proves_nothing_is_found() {
        let history = generate::history(1, &generate::Shape::default());
        let fault = |evidence: &str| Fault {
            at_ns: 1,
            until_ns: None,
            kind: "partition".to_owned(),
            nodes: vec![2],
            detail: String::new(),
            evidence: evidence.to_owned(),
        };
        let floor = Floor { acknowledged: 100, faults: 1 };
        assert_eq!(check(&history, &[fault("9 dropped")], floor), []);
        let words = |found: Vec<Violation>| found.into_iter().map(|one| one.what).collect::<String>();
        assert!(
            words(check(&history, &[fault("")], floor)).contains("nothing shows that the fault partition")
        );
        assert!(words(check(&history, &[], floor)).contains("only 0 faults"));
        assert!(
            words(check(&history[..50], &[fault("x")], floor))
                .contains("were acknowledged, the floor is 100")
        );
    }
}
