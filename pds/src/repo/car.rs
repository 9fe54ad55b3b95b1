//! CAR files as streams, in bounded memory.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use backend_api::cbor::Writer;
use backend_api::tree::{self, BlockSource};
use backend_api::{Cid, Error, Reason, Result, car, limits};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

/// Blocks that are read and sent at a time. Each may have a megabyte.
const BATCH_BLOCKS: usize = 16;
/// Bytes of blocks that are read and sent at a time, where their lengths are known; one block more may be among them.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes that a piece of the answer grows to.
const PIECE_BYTES: usize = 64 * 1024;

/// The whole repo: its commit, then its blocks in the order in which a reader can follow the tree.
pub fn whole<S: BlockSource + 'static>(source: S, commit: Cid, data: Cid) -> impl Stream<Item = Result<Bytes>> {
    let source = Arc::new(source);
    let nodes = tree::nodes(Arc::clone(&source), data).into_stream();
    file(car::header(commit), blocks(source, vec![commit]).chain(nodes))
}

/// What came into the repo between two trees: its commit, the nodes that are new, the records that are new. Reads the
/// nodes in which the trees differ, and the blocks that it sends. The list of them is kept for as long as somebody takes
/// to read it, so there is a bound: if more than `nodes_max` nodes differ, it is the whole.
///
/// # Errors
/// Those of [`tree::changes`].
pub async fn since<S: BlockSource + 'static>(
    source: S,
    commit: Cid,
    data: Cid,
    old_data: Cid,
    nodes_max: usize,
) -> Result<impl Stream<Item = Result<Bytes>>> {
    let source = Arc::new(source);
    let changes = match tree::changes(Arc::clone(&source), Some(old_data), data, nodes_max).await {
        Ok(changes) => changes,
        Err(e) if e.reason() == Reason::TooLarge => return Ok(whole(source, commit, data).left_stream()),
        Err(e) => return Err(e),
    };
    let records = changes.record_ops.into_iter().filter_map(|op| op.new);
    let mut cids = vec![commit];
    cids.extend(changes.created_nodes);
    cids.extend(records);
    Ok(file(car::header(commit), blocks(source, cids)).right_stream())
}

/// A file of some blocks.
pub fn rooted(root: Cid, found: Vec<(Cid, Bytes)>) -> impl Stream<Item = Result<Bytes>> {
    file(car::header(root), stream::iter(found.into_iter().map(Ok)))
}

/// A file of some blocks with their lengths, without a root.
pub fn rootless<S: BlockSource + 'static>(source: S, asked: Vec<(Cid, usize)>) -> impl Stream<Item = Result<Bytes>> {
    let mut cbor = Writer::new();
    cbor.map(2).text("roots").array(0).text("version").uint(1);
    let cbor = cbor.into_bytes();
    let mut header = vec![cbor.len() as u8];
    header.extend_from_slice(&cbor);
    file(header, batches(Arc::new(source), by_length(&asked)))
}

fn by_length(asked: &[(Cid, usize)]) -> Vec<Vec<Cid>> {
    let mut batches: Vec<Vec<Cid>> = Vec::new();
    let mut room_bytes = 0;
    for (cid, len) in asked {
        match batches.last_mut().filter(|_| room_bytes > 0) {
            Some(batch) => batch.push(*cid),
            None => {
                room_bytes = BATCH_BYTES;
                batches.push(vec![*cid]);
            }
        }
        room_bytes = room_bytes.saturating_sub((*len).max(1));
    }
    batches
}

fn blocks<S: BlockSource + 'static>(source: Arc<S>, cids: Vec<Cid>) -> impl Stream<Item = Result<(Cid, Bytes)>> {
    const { assert!(BATCH_BLOCKS <= limits::BLOCKS_ASKED_MAX) };
    batches(source, cids.chunks(BATCH_BLOCKS).map(<[Cid]>::to_vec).collect())
}

fn batches<S: BlockSource + 'static>(
    source: Arc<S>,
    batches: Vec<Vec<Cid>>,
) -> impl Stream<Item = Result<(Cid, Bytes)>> {
    stream::iter(batches)
        .then(move |batch| {
            let source = Arc::clone(&source);
            async move {
                let found = source.blocks(&batch).await?;
                Ok::<_, Error>(stream::iter(batch.into_iter().zip(found).map(|(cid, block)| match block {
                    Some(block) => Ok((cid, block)),
                    None => Err(Error::new(Reason::BlockMissing, format!("block {cid} of the repo is not there"))),
                })))
            }
        })
        .try_flatten()
}

fn file(header: Vec<u8>, blocks: impl Stream<Item = Result<(Cid, Bytes)>>) -> impl Stream<Item = Result<Bytes>> {
    let header = stream::once(async move { Ok(Bytes::from(header)) });
    header.chain(pieces(Box::pin(blocks)))
}

/// Puts blocks together to pieces of a useful size.
fn pieces(blocks: impl Stream<Item = Result<(Cid, Bytes)>> + Unpin) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold(blocks, |mut blocks| async move {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            let Some((cid, block)) = blocks.try_next().await? else { break };
            car::append_block(&mut piece, &cid, &block);
        }
        Ok(if piece.is_empty() { None } else { Some((Bytes::from(piece), blocks)) })
    })
}

/// The answer to a request. If the stream fails, the connection is cut, so that nobody takes a part for the whole.
pub fn answer(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    let logged = stream.inspect_err(|e| tracing::error!("a CAR file was cut short: {e}"));
    ([(CONTENT_TYPE, "application/vnd.ipld.car")], Body::from_stream(logged)).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use backend_api::Reason;
    use backend_api::car::{CarEvent, CarReader};
    use backend_api::tree::BlockMap;

    use super::super::testing::{Counting, repo};
    use super::*;

    async fn read(stream: impl Stream<Item = Result<Bytes>>) -> Result<Vec<Cid>> {
        let mut reader = CarReader::new();
        let mut cids = Vec::new();
        let mut stream = Box::pin(stream);
        while let Some(piece) = stream.try_next().await? {
            assert!(piece.len() < PIECE_BYTES + 10_000, "a piece of {} bytes", piece.len());
            reader.push(&piece);
            while let Some(event) = reader.next()? {
                if let CarEvent::Block { cid, .. } = event {
                    cids.push(cid);
                }
            }
        }
        reader.finish()?;
        Ok(cids)
    }

    fn records(count: u64) -> BTreeMap<String, u64> {
        (0..count).map(|n| (format!("com.example.a/{n:06}"), n)).collect()
    }

    /// Promise 7 of the first issue: cost in proportion to the change, whatever the size of the repo.
    #[tokio::test]
    async fn since_reads_in_proportion_to_the_change() {
        let mut costs = Vec::new();
        for count in [500, 20_000] {
            let mut records = records(count);
            let (old, mut blocks) = repo(&records);
            records.insert("com.example.a/000250x".into(), 1_000_001);
            records.insert("com.example.a/000100".into(), 1_000_002);
            records.remove("com.example.a/000400");
            let (new, new_blocks) = repo(&records);
            blocks.extend(new_blocks);
            let commit = blocks.put(Bytes::from_static(b"commit"));
            let source = Counting::new(blocks);
            let cids = read(since(source.clone(), commit, new, old, 1_000).await.unwrap()).await.unwrap();
            let changes = tree::changes(source.clone(), Some(old), new, usize::MAX).await.unwrap();
            let expected =
                changes.record_ops.iter().filter_map(|op| op.new).chain(changes.created_nodes).chain([commit]);
            assert_eq!(cids.iter().copied().collect::<BTreeSet<_>>(), expected.collect());
            assert_eq!(cids[0], commit);
            costs.push(source.read());
        }
        // The tree of forty times the records is three layers higher.
        assert!(costs[1] < 120 && costs[1] < 3 * costs[0], "blocks read of 500 and of 20,000 records: {costs:?}");
    }

    #[tokio::test]
    async fn a_change_that_is_too_large_to_be_kept_in_mind_gives_the_whole() {
        let (old, mut blocks) = repo(&records(3_000));
        let (new, new_blocks) = repo(&(0..3_000).map(|n| (format!("com.example.a/{n:06}"), n + 9_000)).collect());
        blocks.extend(new_blocks);
        let commit = blocks.put(Bytes::from_static(b"commit"));
        let expected = read(whole(blocks.clone(), commit, new)).await.unwrap();
        for (nodes_max, is_whole) in [(100, true), (10_000, false)] {
            let sent = read(since(blocks.clone(), commit, new, old, nodes_max).await.unwrap()).await.unwrap();
            assert_eq!(sent.iter().collect::<BTreeSet<_>>(), expected.iter().collect(), "all of it changed");
            assert_eq!(sent == expected, is_whole, "the whole comes in the order of the tree");
        }
    }

    #[tokio::test]
    async fn a_whole_repo_is_read_once() {
        let (root, mut blocks) = repo(&records(3_000));
        let commit = blocks.put(Bytes::from_static(b"commit"));
        let total = blocks.len();
        let source = Counting::new(blocks);
        let cids = read(whole(source.clone(), commit, root)).await.unwrap();
        assert_eq!((cids.len(), source.read()), (total, total));
    }

    #[tokio::test]
    async fn a_missing_block_ends_the_stream_with_an_error() {
        let (root, mut blocks) = repo(&records(3_000));
        let commit = blocks.put(Bytes::from_static(b"commit"));
        let lost = Cid::of_block(&super::super::testing::record(1_500));
        blocks.remove(&lost);
        let error = read(whole(Counting::new(blocks), commit, root)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::BlockMissing);
        assert!(error.detail().contains(&lost.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_file_without_a_root_is_a_car_file() {
        let mut blocks = BlockMap::new();
        let cid = blocks.put(Bytes::from_static(b"\xa0"));
        assert_eq!(read(rootless(blocks.clone(), vec![(cid, 1)])).await.unwrap(), [cid]);
        assert_eq!(read(rootless(blocks, vec![])).await.unwrap(), []);
    }

    #[test]
    fn blocks_of_known_length_are_read_a_bounded_number_of_bytes_at_a_time() {
        let asked = |lens: &[usize]| lens.iter().map(|len| (Cid::of_block(b"x"), *len)).collect::<Vec<_>>();
        let sizes = |lens: &[usize]| by_length(&asked(lens)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[1_000_000; 9]), [2, 2, 2, 2, 1]);
        assert_eq!(sizes(&[BATCH_BYTES, 1, BATCH_BYTES * 2, 5]), [1, 2, 1]);
        assert_eq!(sizes(&[100; 1_000]), [1_000]);
        assert!(sizes(&[]).is_empty());
    }
}
