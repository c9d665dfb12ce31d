//! The controller under any commands. After each: rows and memory alike, configurations that grow by one, balanced after
//! joins and leaves, members never issued twice; a request that is sent again answers as it did.

use bytes::Bytes;
use flotilla_shardctrler::Options;
use flotilla_shardctrler::api::command::Command;
use flotilla_types::Wire;

use super::choices::Choices;
use super::controller::World;

/// Longer inputs show nothing that shorter ones do not.
const COMMANDS_MAX: usize = 60;
const BYTES_MAX: usize = 8 * 1024;

/// Bounds so small that short inputs reach them.
const SMALL: Options =
    Options { configs_kept_min: 3, configs_kept_max: 8, requests_kept: 4, torn_down_kept: 2, locks_max: 2 };

/// A byte for the number of shards, then commands, each behind its length.
pub fn run(data: &[u8]) {
    if data.len() > BYTES_MAX {
        return;
    }
    let Some((first, rest)) = data.split_first() else { return };
    let mut world = World::cluster(SMALL, 1 + u32::from(first % 12), 3);
    for piece in Choices::pieces(rest).take(COMMANDS_MAX) {
        let Ok(command) = Command::decode_from(Bytes::copy_from_slice(piece)) else { continue };
        let response = world.command(command.clone());
        if command.request_id != 0 {
            assert_eq!(world.command(command), response, "the same id answers the same");
        }
    }
    world.reopen();
}
