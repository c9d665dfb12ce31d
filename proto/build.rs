//! Compiles `proto/*.proto` without protoc: protox parses, tonic-prost-build generates.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir("proto")?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ext| ext == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::configure().bytes(".").btree_map(".").build_transport(false);
    for (message, path) in EXTERN {
        config = config.extern_path(*message, *path);
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

/// Messages that a pure crate defines: what is replicated has one definition, shared with the wire.
const EXTERN: &[(&str, &str)] = &[
    (".flotilla.ctrl.v1.ShardConfig", "::flotilla_types::ShardConfig"),
    (".flotilla.kv.v1.Op", "::flotilla_shardkv::api::Op"),
    (".flotilla.kv.v1.Get", "::flotilla_shardkv::api::Get"),
    (".flotilla.kv.v1.Put", "::flotilla_shardkv::api::Put"),
    (".flotilla.kv.v1.Append", "::flotilla_shardkv::api::Append"),
    (".flotilla.kv.v1.Delete", "::flotilla_shardkv::api::Delete"),
    (".flotilla.kv.v1.CompareAndSet", "::flotilla_shardkv::api::CompareAndSet"),
    (".flotilla.kv.v1.Batch", "::flotilla_shardkv::api::Batch"),
    (".flotilla.kv.v1.WriteId", "::flotilla_shardkv::api::WriteId"),
    (".flotilla.kv.v1.Code", "::flotilla_shardkv::api::Code"),
    (".flotilla.kv.v1.Hint", "::flotilla_shardkv::api::Hint"),
    (".flotilla.kv.v1.Reply", "::flotilla_shardkv::api::Reply"),
    (".flotilla.kv.v1.ScanRow", "::flotilla_shardkv::api::ScanRow"),
    (".flotilla.kv.v1.TransferPhase", "::flotilla_shardkv::api::TransferPhase"),
    (".flotilla.kv.v1.TransferCursor", "::flotilla_shardkv::api::TransferCursor"),
    (".flotilla.kv.v1.ShardPhase", "::flotilla_shardkv::api::ShardPhase"),
    (".flotilla.kv.v1.ShardStatus", "::flotilla_shardkv::api::ShardStatus"),
    (".flotilla.kv.v1.MoveStatus", "::flotilla_shardkv::api::MoveStatus"),
    (".flotilla.kv.v1.Freeze", "::flotilla_shardkv::api::freeze::Freeze"),
    (".flotilla.kv.v1.Thaw", "::flotilla_shardkv::api::freeze::Thaw"),
    (".flotilla.kv.v1.RenewFreeze", "::flotilla_shardkv::api::freeze::RenewFreeze"),
    (".flotilla.kv.v1.FreezeProof", "::flotilla_shardkv::api::FreezeProof"),
    (".flotilla.kv.v1.GroupStatus", "::flotilla_shardkv::api::GroupStatus"),
    (".flotilla.ctrl.v1.NewGroup", "::flotilla_shardctrler::api::command::NewGroup"),
    (".flotilla.ctrl.v1.Join", "::flotilla_shardctrler::api::command::Join"),
    (".flotilla.ctrl.v1.Leave", "::flotilla_shardctrler::api::command::Leave"),
    (".flotilla.ctrl.v1.Move", "::flotilla_shardctrler::api::command::Move"),
    (".flotilla.ctrl.v1.Register", "::flotilla_shardctrler::api::command::Register"),
    (".flotilla.ctrl.v1.Report", "::flotilla_shardctrler::api::command::Report"),
    (".flotilla.ctrl.v1.Lock", "::flotilla_shardctrler::api::command::Lock"),
    (".flotilla.ctrl.v1.Unlock", "::flotilla_shardctrler::api::command::Unlock"),
    (".flotilla.ctrl.v1.Replica", "::flotilla_shardctrler::api::Replica"),
    (".flotilla.ctrl.v1.GroupState", "::flotilla_shardctrler::api::GroupState"),
    (".flotilla.ctrl.v1.GroupRecord", "::flotilla_shardctrler::api::GroupRecord"),
    (".flotilla.ctrl.v1.NodeRecord", "::flotilla_shardctrler::api::NodeRecord"),
    (".flotilla.ctrl.v1.Directory", "::flotilla_shardctrler::api::Directory"),
    (".flotilla.ctrl.v1.Code", "::flotilla_shardctrler::api::Code"),
    (".flotilla.ctrl.v1.Response", "::flotilla_shardctrler::api::Response"),
    (".flotilla.migration.v1.State", "::flotilla_cloud_migration::State"),
    (".flotilla.migration.v1.Target", "::flotilla_cloud_migration::Target"),
    (".flotilla.migration.v1.Options", "::flotilla_cloud_migration::Options"),
    (".flotilla.migration.v1.Record", "::flotilla_cloud_migration::Record"),
    (".flotilla.migration.v1.Owner", "::flotilla_cloud_migration::Owner"),
    (".flotilla.migration.v1.Freeze", "::flotilla_cloud_migration::Freeze"),
    (".flotilla.migration.v1.Group", "::flotilla_cloud_migration::Group"),
    (".flotilla.migration.v1.Ack", "::flotilla_cloud_migration::Ack"),
    (".flotilla.migration.v1.Totals", "::flotilla_cloud_migration::Totals"),
    (".flotilla.migration.v1.Compensation", "::flotilla_cloud_migration::Compensation"),
    (".flotilla.migration.v1.Failure", "::flotilla_cloud_migration::Failure"),
    (".flotilla.migration.v1.Event", "::flotilla_cloud_migration::Event"),
    (".flotilla.migration.v1.File", "::flotilla_cloud_migration::File"),
    (".flotilla.migration.v1.Dumped", "::flotilla_cloud_migration::Dumped"),
    (".flotilla.migration.v1.Upload", "::flotilla_cloud_migration::Upload"),
    (".flotilla.migration.v1.Part", "::flotilla_cloud_migration::Part"),
    (".flotilla.migration.v1.Options.FreezeUntil", "::flotilla_cloud_migration::FreezeUntil"),
    (".flotilla.migration.v1.Compensation.Undo", "::flotilla_cloud_migration::Undo"),
    (".flotilla.migration.v1.File.Stage", "::flotilla_cloud_migration::Stage"),
];
