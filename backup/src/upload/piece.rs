//! A part of a file as the body of a request: read from the disk in pieces, no faster than they may leave.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

use super::events::UploadEvents;
use crate::http::{Beat, Body};
use crate::rate::RateLimit;

/// Small enough to keep the rate even, large enough for few wake-ups.
const PIECE_BYTES: usize = 256 << 10;

/// Where to read.
pub struct Slice {
    pub file: Arc<File>,
    pub offset: u64,
    pub length: u64,
}

/// The body of a request.
pub fn body(slice: Slice, rate: RateLimit, events: Arc<dyn UploadEvents>) -> Body {
    let (length, beat) = (slice.length, Beat::default());
    let stream = pieces(slice, rate, events, beat.clone());
    Body::Stream(reqwest::Body::wrap_stream(stream), length, beat)
}

fn pieces(
    slice: Slice,
    rate: RateLimit,
    events: Arc<dyn UploadEvents>,
    beat: Beat,
) -> impl Stream<Item = io::Result<Bytes>> {
    let piece_bytes = rate.piece_bytes(PIECE_BYTES);
    futures::stream::try_unfold(slice, move |mut slice| {
        let (rate, events, beat) = (rate.clone(), events.clone(), beat.clone());
        async move {
            beat.touch();
            let bytes = usize::try_from(slice.length).unwrap_or(piece_bytes).min(piece_bytes);
            if bytes == 0 {
                return Ok(None);
            }
            rate.take(bytes as u64).await;
            let piece = read(Arc::clone(&slice.file), slice.offset, bytes).await?;
            slice.offset += bytes as u64;
            slice.length -= bytes as u64;
            events.sent(bytes as u64);
            beat.touch();
            Ok(Some((piece, slice)))
        }
    })
}

async fn read(file: Arc<File>, offset: u64, bytes: usize) -> io::Result<Bytes> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; bytes];
        file.read_exact_at(&mut piece, offset)?;
        Ok(piece.into())
    });
    reading.await.map_err(io::Error::other)?
}
