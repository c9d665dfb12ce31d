//! All shards' states, cheap to clone. A machine is cloned once a round, so a clone shares everything, and a change
//! copies one block of pointers, not 16384 states.

use std::sync::Arc;

use flotilla_types::ShardId;

use crate::state::ShardState;

const BLOCK: usize = 128;

/// The states of shards `0..len`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ShardTable {
    blocks: Arc<Vec<Arc<Vec<Arc<ShardState>>>>>,
    len: u32,
}

impl ShardTable {
    /// Every shard absent.
    pub(crate) fn new(len: u32) -> Self {
        let absent = Arc::new(ShardState::default());
        let all = vec![absent; len as usize];
        let blocks = all.chunks(BLOCK).map(|block| Arc::new(block.to_vec())).collect();
        Self { blocks: Arc::new(blocks), len }
    }

    /// One shard's state; none: there is no such shard.
    pub(crate) fn get(&self, shard: ShardId) -> Option<&ShardState> {
        let index = shard.get() as usize;
        self.blocks.get(index / BLOCK)?.get(index % BLOCK).map(AsRef::as_ref)
    }

    /// Replaces the state of an existing shard.
    pub(crate) fn set(&mut self, shard: ShardId, state: ShardState) {
        assert!(shard.get() < self.len, "shard {shard} of {}", self.len);
        let index = shard.get() as usize;
        let block = Arc::make_mut(&mut Arc::make_mut(&mut self.blocks)[index / BLOCK]);
        block[index % BLOCK] = Arc::new(state);
    }

    /// Every shard, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ShardId, &ShardState)> {
        let states = self.blocks.iter().flat_map(|block| block.iter().map(AsRef::as_ref));
        (0u32..).map(ShardId).zip(states)
    }
}
