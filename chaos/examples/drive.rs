//! Drives a run without the whole `flotilla` command: `drive BINARY SECONDS FAULTS SEED [NODES] [lying] [loopback]`.

use std::sync::Arc;
use std::time::Duration;

use flotilla_chaos::{Able, Options, Tag, named, run, stale};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    println!("stale: {:?}", stale());
    let able = Able::find(&Tag::mine());
    println!("{}", able.words());
    let options = Options {
        binary: args[1].clone().into(),
        length: Duration::from_secs(args[2].parse()?),
        nodes: args.get(5).map_or(Ok(5), |text| text.parse())?,
        groups: 3,
        clients: 10,
        classes: named(&args[3]).map_err(anyhow::Error::msg)?,
        seed: args[4].parse()?,
        dir: std::env::temp_dir(),
        record: None,
        moves: !args.iter().any(|arg| arg == "still"),
        floor: 50.0,
        loopback: args.iter().any(|arg| arg == "loopback"),
        patience: Duration::from_secs(if args.iter().any(|arg| arg == "lying") { 20 } else { 120 }),
        lying: args.iter().any(|arg| arg == "lying"),
        voice: Arc::new(|words: &str| println!("{words}")),
    };
    let outcome = tokio::select! {
        outcome = Box::pin(run(&options, &able)) => outcome?,
        _ = tokio::signal::ctrl_c() => { println!("interrupted"); return Ok(()) }
    };
    println!("{:#?}\n{:?}\n{:?}", outcome.service, outcome.struck, outcome.verdicts);
    println!(
        "ok {} failed {} unknown {} changes {}",
        outcome.done.ok, outcome.done.failed, outcome.done.unknown, outcome.changes
    );
    for violation in &outcome.violations {
        println!("VIOLATION {} {}", violation.by, violation.what.chars().take(1500).collect::<String>());
    }
    std::fs::write(outcome.folder.join("report.html"), flotilla_checker::report::page(&outcome.lines))?;
    println!("{}", outcome.folder.display());
    Ok(())
}
