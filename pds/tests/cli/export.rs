//! `pds export`: whole, since a rev, at the cost of the change.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::support::tapped::Tapped;
use crate::support::{Quiet, Repo, export, import, read_car, store};
use backend_api::{At, Backend, Cid, Did, IdempotencyKey, Reason, Tid};
use conformance::scene::{self, SceneRepo, Write};
use pds::cli::work;

/// A repo that was changed some times: what it was after each commit.
async fn history(backend: &dyn Backend, did: &Did) -> Vec<SceneRepo> {
    let put =
        |key: usize, text: &str| Write::Put(scene::path(&format!("app.bsky.feed.post/{key:05}")), scene::content(text));
    let delete = |key: usize| Write::Delete(scene::path(&format!("app.bsky.feed.post/{key:05}")));
    let commits: Vec<Vec<Write>> = vec![
        (0..150).map(|n| put(n, &format!("first {n}"))).collect(),
        vec![put(500, "one more")],
        vec![put(3, "changed"), delete(4), put(501, "first 9")],
        (20..60).map(delete).collect(),
        vec![delete(500)],
    ];
    let mut states = vec![SceneRepo::new(did.clone())];
    for (number, writes) in commits.into_iter().enumerate() {
        let draft = states[number].draft(&writes);
        let mut mutation = draft.clone().mutation(IdempotencyKey([number as u8 + 1; 16]));
        if number == 0 {
            mutation.ops.insert(0, conformance::create_account("since"));
        }
        backend.apply(mutation).await.unwrap();
        states.push(draft.after);
    }
    states.remove(0);
    states
}

fn nodes(repo: &SceneRepo) -> BTreeSet<Cid> {
    repo.nodes.iter().map(|(cid, _)| *cid).collect()
}

/// What is new in `new`, worked out from all that both hold.
fn expected(old: &SceneRepo, new: &SceneRepo) -> BTreeSet<Cid> {
    let mut out: BTreeSet<Cid> = nodes(new).difference(&nodes(old)).copied().collect();
    for (path, content) in &new.records {
        if old.records.get(path).map(scene::Content::cid) != Some(content.cid()) {
            out.insert(content.cid());
        }
    }
    out.insert(new.head.unwrap().cid);
    out
}

#[tokio::test]
async fn since_gives_exactly_the_structural_difference() {
    let backend = store().await;
    let did = scene::did("since");
    let states = history(&*backend, &did).await;
    let newest = states.last().unwrap();
    for old in &states {
        let rev = old.head.unwrap().rev;
        let car = export(&*backend, &did, Some(rev)).await.unwrap();
        let (root, blocks, entries) = read_car(&car);
        assert_eq!(root, newest.head.unwrap().cid);
        assert_eq!(entries[0].0, root, "the commit comes first");
        assert_eq!(blocks, expected(old, newest), "since {rev}");
        assert_eq!(entries.len(), blocks.len(), "each once, since {rev}");
    }
}

#[tokio::test]
async fn since_reads_in_proportion_to_the_change() {
    let inner = store().await;
    let mut repo = Repo::new("large", 4_000);
    import(&*inner, &repo.car()).await.unwrap();
    let before = inner.repo(&repo.did, At::Head).await.unwrap().unwrap();
    repo.put(4_001, "one more");
    let mut scene = SceneRepo::new(repo.did.clone());
    (scene.head, scene.data) = (Some(before.head), Some(before.data));
    scene.nodes = Repo::new("large", 4_000).commit().2;
    let content = |bytes: &Vec<u8>| scene::Content::new(bytes.clone());
    let old = Repo::new("large", 4_000);
    scene.records = old.records.iter().map(|(path, bytes)| (scene::path(path), content(bytes))).collect();
    let draft = scene.draft(&[Write::Put(scene::path("app.bsky.feed.post/004001"), scene::content("one more"))]);
    let draft_blocks = draft.blocks.len() as u64;
    inner.apply(draft.quiet().mutation(IdempotencyKey([1; 16]))).await.unwrap();

    let backend = Tapped::over(inner);
    let car = export(&backend, &repo.did, Some(before.head.rev)).await.unwrap();
    let new = read_car(&car).1.len() as u64;
    let read = backend.blocks_read.load(Ordering::SeqCst);
    assert!(new < 12 && new <= draft_blocks, "{new} blocks are new");
    assert!(read <= 4 * new, "{read} blocks were read for {new} new ones, of 5,000 in the repo");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let backend = store().await;
    let did = scene::did("nobody");
    assert_eq!(export(&*backend, &did, None).await.unwrap_err().reason(), Reason::RepoMissing);
    let repo = Repo::new("gone", 2);
    import(&*backend, &repo.car()).await.unwrap();
    let error = export(&*backend, &repo.did, Some(Tid::new(1, 1))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::CursorGone, "{error}");
}

#[tokio::test]
async fn a_large_repository_goes_out_in_pieces() {
    let backend = store().await;
    let mut repo = Repo::new("pieces", 0);
    for n in 0..600 {
        repo.put(n, &format!("{n}").repeat(1_000));
    }
    import(&*backend, &repo.car()).await.unwrap();
    let quiet = Quiet::default();
    let exported = work::export(&*backend, &repo.did, None, &quiet).await.unwrap();
    let out = quiet.out.into_inner().unwrap();
    assert_eq!((exported.bytes, exported.blocks), (out.len() as u64, repo.blocks().len() as u64));
    assert!(quiet.seen.into_inner().unwrap().len() > 3, "it was sent in pieces");
    assert_eq!(read_car(&out).1, read_car(&repo.car()).1);
}
