//! The guards that can be taken out, one at a time, to see that the model notices.

/// A mistake that an implementation could make.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Omission {
    /// InsertShards does not compare the config number.
    InsertNum,
    /// InsertShards does not ask whether the shard is Pulling.
    InsertState,
    /// InsertShards does not compare the cursor.
    InsertCursor,
    /// GetShardsData is answered whatever config it names.
    GetNum,
    /// Seal is obeyed whatever config it names.
    SealNum,
    /// Seal is obeyed during the base copy.
    SealInBase,
    /// DeleteShards is obeyed whatever config it names.
    DeleteNum,
    /// The acknowledgement settles whatever is owed.
    AckNum,
    /// A sealed shard still takes writes.
    SealedWrites,
    /// A seal that is asked for again is not answered again.
    SealOnce,
    /// Session rows stay behind.
    SessionsStay,
    /// The write counter stays behind.
    CounterStays,
    /// Replicated time stays behind.
    TimeStays,
    /// The session floor stays behind.
    FloorStays,
    /// A key deleted while its shard is copied leaves no tombstone.
    NoTombstones,
    /// Change rows begin only when the base copy has ended.
    LateChangeRows,
    /// A key that changes again keeps its first change row.
    FirstChangeRow,
    /// `next` is set past the last change row really included.
    NextTooFar,
    /// Change rows are numbered by the write counter, and those of one write are split between chunks.
    SplitCounter,
    /// A failed compare leaves no change row for its session.
    FailureUnrecorded,
    /// Change rows are numbered by the write counter, which a failed compare does not raise.
    NumberedByCounter,
    /// Session rows at or below the floor are still obeyed while they are there.
    GoneRowsObeyed,
    /// The last delta is read before the seal is applied.
    LastBeforeSeal,
    /// A DeleteShardsData that is already done is refused.
    RefuseOldDelete,
    /// A group adopts the newest config at once.
    SkipConfigs,
    /// An unsealed BePulling answers with the new config's number.
    AnswerNewNum,
    /// The rows of a deleted incarnation stay visible.
    OldRowsVisible,
    /// A shard is handed on only when its previous owner has deleted.
    HandOnWaits,
    /// DeleteShards is obeyed by an unsealed source.
    DeleteUnsealed,
    /// A sealed source aborts.
    AbortSealed,
    /// An *aborted* makes the asker drop whatever it pulls.
    DropNum,
    /// What was copied before an abort stays visible.
    DropKeepsRows,
    /// A group that dropped a move gives the shard away all the same when its time ends.
    DroppedIsGivenAway,
    /// A debt is pursued only while its shard is still at the config of the move.
    DebtEndsWithConfig,
    /// The old owner forgets to whom it handed the shard.
    NoHandedTo,
}

impl Omission {
    /// Whether a change row's number is the write counter after the write.
    pub fn numbers_by_counter(self) -> bool {
        matches!(self, Self::NumberedByCounter | Self::SplitCounter)
    }

    /// Whether messages of moves already over can still do harm, so that the network must remember them.
    /// (With the guards in place they are refused for ever, and forgetting them changes nothing.)
    pub fn revives_old_messages(self) -> bool {
        matches!(self, Self::InsertNum | Self::InsertState | Self::InsertCursor | Self::GetNum)
    }
}
