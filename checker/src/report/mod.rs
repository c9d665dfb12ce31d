//! The report of a run: one HTML page that needs no network, no server and no other file.
//!
//! ```text
//!   lines of a record --> Gathered --+--> traffic, lanes, faults, offence, messages --> JSON --.
//!                                    |                                                        v
//!                                    `--> sections, damage_table ----------------> HTML --> the page <-- assets
//! ```
//!
//! * Everything that can be long is made short here: operations become buckets of time, views become segments, lists
//!   are cut at a limit that the page names. So a page stays small however long the run was.
//! * Verdict, lights, findings and tables are plain HTML and can be read without a script. The charts are drawn by
//!   `checker/assets/report.js` from the JSON, with uPlot (`checker/assets/uplot`).
//! * Text from a run is data: escaped in HTML, and only ever set as text by the script.
//! * A light is green only where the record says that somebody looked (see [`CHECKED`]).
//! * Absent on purpose: any judgement. The page shows what checkers found; it finds nothing itself.

mod damage_table;
mod faults;
mod gathered;
mod html;
mod index;
mod lanes;
mod lights;
mod marks;
mod messages;
mod offence;
mod outage;
mod sections;
mod table;
mod time;
mod traffic;

use std::io;

use serde::Serialize;

use crate::record::Line;
use gathered::Gathered;
use html::{escape, json};
use time::ms;

pub use index::{Night, Summary, index};
pub use lights::{CHECKED, checked};
pub use table::Table;

const CSS: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const UPLOT_CSS: &str = include_str!("../../assets/uplot/uPlot.min.css");
const UPLOT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");

/// What the script draws. Stamps are milliseconds from the start of the run.
#[derive(Serialize)]
struct Data {
    span: f64,
    healed: Option<f64>,
    violations: Vec<f64>,
    traffic: traffic::Traffic,
    faults: Vec<faults::Band>,
    marks: Vec<marks::Mark>,
    lanes: lanes::Lanes,
    offences: Vec<offence::Offence>,
    diagram: Option<messages::Diagram>,
}

impl Data {
    fn new(all: &Gathered<'_>) -> Self {
        let lanes = lanes::Lanes::new(all);
        Self {
            span: ms(all.span_ns),
            healed: all.end.and_then(|end| end.healed_ns).map(ms),
            violations: all.violations.iter().map(|violation| ms(violation.at_ns)).collect(),
            traffic: traffic::Traffic::new(all),
            faults: faults::bands(all),
            marks: marks::marks(all, &lanes),
            lanes,
            offences: offence::offences(all),
            diagram: messages::diagram(all),
        }
    }
}

/// The page of one run.
pub fn page(lines: &[Line]) -> String {
    let all = Gathered::new(lines);
    let damages = outage::damages(&all);
    let body = [
        sections::header(&all),
        sections::figures(&all, &damages),
        sections::lights(&all),
        sections::violations(&all),
        "<div id=\"offences\"></div><div id=\"diagram\"></div><div id=\"run\"></div>".to_owned(),
        damage_table::table(&all, &damages),
        sections::choices_and_counts(&all),
        format!("<script type=\"application/json\" id=\"data\">{}</script>", json(&Data::new(&all))),
        format!("<script>{UPLOT}</script><script>{SCRIPT}</script>"),
    ];
    document(&sections::name(&all), &format!("<style>{UPLOT_CSS}</style>"), &body.concat())
}

/// Writes the page of one run.
pub fn write(lines: &[Line], mut out: impl io::Write) -> io::Result<()> {
    out.write_all(page(lines).as_bytes())
}

/// A whole document. The policy lets nothing be loaded from anywhere.
fn document(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\
         <title>{}</title>{head}<style>{CSS}</style></head>\n<body><main>{body}</main></body></html>\n",
        escape(title)
    )
}
