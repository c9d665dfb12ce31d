//! The shapes of load that Flotilla and its peers are compared under.

use crate::contest::{Contender, Row, row};
use crate::error::BenchError;
use crate::op::Op;
use crate::plan::Plan;
use crate::run::Voice;

/// So many clients share a connection, unless each has its own: one HTTP/2 connection for hundreds of clients would be the
/// bottleneck of some peers.
const CLIENTS_PER_CONNECTION: usize = 16;

/// One shape of load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// What clients do.
    pub op: Op,
    /// How many.
    pub clients: usize,
    /// How many connections they share.
    pub connections: usize,
}

/// Several shapes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matrix {
    /// In the order in which they are measured.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// Every operation with every number of clients, and the largest number below 100 once more with a connection for each.
    pub fn new(ops: &[Op], clients: &[usize]) -> Self {
        let mut cells = Vec::new();
        for &op in ops {
            let shared = |&clients: &usize| Cell { op, clients, connections: Self::connections(clients) };
            cells.extend(clients.iter().map(shared));
            let own = clients.iter().copied().filter(|clients| (2..100).contains(clients)).max();
            cells.extend(own.map(|clients| Cell { op, clients, connections: clients }));
        }
        Self { cells }
    }

    /// How many connections so many clients share.
    pub fn connections(clients: usize) -> usize {
        clients.div_ceil(CLIENTS_PER_CONNECTION).max(1)
    }

    /// Measures all cells.
    pub async fn run(
        &self,
        contenders: &mut [Contender],
        plan: &Plan,
        rounds: usize,
        voice: Voice<'_>,
        each: &mut dyn FnMut(&Row),
    ) -> Result<Vec<Row>, BenchError> {
        let mut rows = Vec::with_capacity(self.cells.len());
        for Cell { op, clients, connections } in self.cells.iter().copied() {
            let plan = Plan { op, clients, connections, ..plan.clone() };
            let done = row(contenders, &plan, rounds, voice).await?;
            each(&done);
            rows.push(done);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_and_once_not() {
        let matrix = Matrix::new(&[Op::Put], &[1, 16, 64, 256]);
        let shapes: Vec<_> = matrix.cells.iter().map(|cell| (cell.clients, cell.connections)).collect();
        assert_eq!(shapes, [(1, 1), (16, 1), (64, 4), (256, 16), (64, 64)]);
    }
}
