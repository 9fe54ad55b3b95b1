//! `pds import`: whole repositories come in, everything else is refused and leaves no trace.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::tapped::Tapped;
use crate::support::{
    Quiet, REV_MICROS, Repo, car_of, export, fixture, has_account, import, import_followed, read_car, store,
};
use backend_api::mutation::NewAccount;
use backend_api::{
    AccountName, AccountStatus, At, Backend, Blocks, Cid, IdempotencyKey, Mutation, Op, Pos, Reason, Seq, Tid,
    VerifyLevel,
};
use pds::cli::work::Phase;

const WHOLE: [&str; 4] = ["empty.car", "greenground.repo.car", "little.car", "tiny.car"];

/// Files of another format, and of a part of a repository, with what they are refused for.
const REFUSED: [(&str, Reason); 3] = [
    ("fakermaker.repo.car", Reason::CommitMismatch),
    ("paul_staging.repo.car", Reason::CommitMismatch),
    ("repo_slice.car", Reason::CommitMismatch),
];

async fn events(backend: &dyn Backend) -> Vec<String> {
    let events = backend.events(Seq::ZERO, 1_000, usize::MAX).await.unwrap();
    let kind = |frame: &[u8]| {
        let mut r = backend_api::cbor::Reader::new(frame);
        r.map().unwrap();
        r.key("t").unwrap();
        r.text().unwrap().to_owned()
    };
    events.iter().map(|event| kind(&event.frame)).collect()
}

async fn is_sound(backend: &dyn Backend) {
    assert_eq!(backend.verify(VerifyLevel::Deep).await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn whole_repositories_come_in_and_go_out_the_same() {
    let backend = store().await;
    for name in WHOLE {
        let Some(path) = fixture(name) else { continue };
        let bytes = std::fs::read(path).unwrap();
        let (root, blocks, _) = read_car(&bytes);
        let imported = import(&*backend, &bytes).await.unwrap();
        assert_eq!((imported.commit, imported.blocks, imported.left_out), (root, blocks.len() as u64, 0), "{name}");
        let state = backend.repo(&imported.did, At::Head).await.unwrap().unwrap();
        assert_eq!((state.head.cid, state.head.rev), (root, imported.rev), "{name}");
        let out = export(&*backend, &imported.did, None).await.unwrap();
        let (root_out, blocks_out, entries) = read_car(&out);
        assert_eq!((root_out, &blocks_out), (root, &blocks), "{name}");
        assert_eq!(entries[0].0, root, "{name}: the commit comes first");
    }
    is_sound(&*backend).await;
}

#[tokio::test]
async fn other_formats_are_refused_with_the_reason() {
    let backend = store().await;
    for (name, reason) in REFUSED {
        let Some(path) = fixture(name) else { continue };
        let error = import(&*backend, &std::fs::read(path).unwrap()).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(error.detail().contains("some.car: byte ") && error.detail().contains("version 2"), "{error}");
    }
    assert_eq!(backend.position().await.unwrap(), Pos(0));
}

#[tokio::test]
async fn every_flipped_byte_is_found_before_anything_is_written() {
    let backend = store().await;
    let bytes = Repo::new("flip", 6).car();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = import(&*backend, &damaged).await.expect_err(&format!("byte {at} was flipped"));
        assert!(error.detail().starts_with("some.car"), "{error}");
    }
    assert_eq!(backend.position().await.unwrap(), Pos(0));
}

#[tokio::test]
async fn every_truncation_is_found_before_anything_is_written() {
    let backend = store().await;
    let bytes = Repo::new("cut", 6).car();
    for len in 0..bytes.len() {
        import(&*backend, &bytes[..len]).await.expect_err(&format!("cut to {len} bytes"));
    }
    assert_eq!(backend.position().await.unwrap(), Pos(0));
}

#[tokio::test]
async fn a_block_of_other_bytes_is_named_with_its_offset() {
    let bytes = Repo::new("offset", 6).car();
    let (_, _, entries) = read_car(&bytes);
    let (cid, offset) = entries[3];
    let mut damaged = bytes.clone();
    damaged[offset as usize + 50] ^= 1;
    let error = import(&*store().await, &damaged).await.unwrap_err();
    assert_eq!(error.reason(), Reason::HashMismatch);
    let (byte, block) = (format!("byte {offset} "), cid.to_string());
    assert!(error.detail().contains(&byte) && error.detail().contains(&block), "{error}");
}

#[tokio::test]
async fn a_missing_block_is_named_whatever_it_is() {
    let backend = store().await;
    let repo = Repo::new("part", 30);
    let blocks = repo.blocks();
    for missing in 1..blocks.len() {
        let mut rest = blocks.clone();
        let (cid, _) = rest.remove(missing);
        let error = import(&*backend, &car_of(blocks[0].0, &rest)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::BlockMissing);
        assert!(error.detail().contains(&cid.to_string()), "{error}");
    }
    assert_eq!(backend.position().await.unwrap(), Pos(0));
}

#[tokio::test]
async fn a_tree_that_is_not_canonical_is_refused_with_the_offset() {
    let backend = store().await;
    let repo = Repo::new("tree", 1);
    // The key of one post in a node whose layer it does not belong to: a root over an otherwise needless node.
    let leaf = repo.commit().2.iter().next().map(|(cid, _)| *cid).unwrap();
    let node = backend_api::tree::Node { left: Some(leaf), entries: vec![] }.encode();
    let data = Cid::of_block(&node);
    let commit = backend_api::tree::CommitBlock {
        did: repo.did.clone(),
        version: 3,
        data,
        rev: repo.rev,
        prev: None,
        sig: vec![1; 64],
    };
    let commit = commit.encode();
    let root = Cid::of_block(&commit);
    let mut blocks = vec![(root, commit), (data, node)];
    blocks.extend(repo.blocks().into_iter().skip(1));
    let bytes = car_of(root, &blocks);
    let (_, _, entries) = read_car(&bytes);
    let error = import(&*backend, &bytes).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BadTree);
    assert!(error.detail().contains(&format!("byte {}", entries[1].1)), "{error}");
    assert_eq!(backend.position().await.unwrap(), Pos(0));
}

#[tokio::test]
async fn a_record_that_is_no_record_is_refused_with_its_path() {
    let mut repo = Repo::new("norecord", 3);
    repo.records.insert("app.bsky.feed.post/bad".into(), b"\xff\xff".to_vec());
    let error = import(&*store().await, &repo.car()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BadRequest);
    assert!(error.detail().contains("app.bsky.feed.post/bad") && error.detail().contains("byte "), "{error}");
}

#[tokio::test]
async fn what_the_tree_does_not_reach_is_left_out() {
    let backend = store().await;
    let repo = Repo::new("extra", 20);
    let mut blocks = repo.blocks();
    let stranger = (Cid::of_block(b"\xa0"), b"\xa0".to_vec());
    blocks.insert(5, stranger.clone());
    blocks.push(blocks[2].clone());
    let imported = import(&*backend, &car_of(blocks[0].0, &blocks)).await.unwrap();
    assert_eq!(imported.left_out, 2);
    let out = export(&*backend, &repo.did, None).await.unwrap();
    assert_eq!(read_car(&out).1, read_car(&repo.car()).1);
    for which in [Blocks::Live, Blocks::History, Blocks::Import] {
        assert_eq!(backend.blocks(&repo.did, &[stranger.0], which).await.unwrap(), [None], "{which:?}");
    }
}

#[tokio::test]
async fn one_content_under_many_keys_is_one_block_with_many_references() {
    let backend = store().await;
    let mut repo = Repo::new("same", 0);
    for n in 0..30 {
        repo.put(n, if n % 3 == 0 { "the same" } else { "the other" });
    }
    let imported = import(&*backend, &repo.car()).await.unwrap();
    assert_eq!((imported.records, imported.left_out), (30, 0));
    assert_eq!(imported.blocks, repo.blocks().len() as u64);
    let cid = Cid::of_block(&crate::support::record("the same"));
    let refs = backend.block_refs(&repo.did, &[cid], Blocks::Live).await.unwrap();
    assert_eq!(refs[0].map(|refs| refs.refs), Some(10));
    is_sound(&*backend).await;
}

#[tokio::test]
async fn a_new_repository_is_announced_and_its_account_serves() {
    let backend = store().await;
    let repo = Repo::new("new", 3);
    assert!(import(&*backend, &repo.car()).await.unwrap().account_created);
    let account = backend.account(&AccountName::Did(repo.did.clone())).await.unwrap().unwrap();
    assert_eq!((account.status, account.handle, account.import), (AccountStatus::Active, None, None));
    assert_eq!(events(&*backend).await, ["#identity", "#account", "#sync"]);
}

async fn create(backend: &dyn Backend, repo: &Repo, status: AccountStatus) {
    let handle = Some("somebody.example.com".parse().unwrap());
    let account = NewAccount { handle, email: None, password_hash: None, status };
    let key = IdempotencyKey([9; 16]);
    let ops = vec![Op::CreateAccount(account)];
    backend.apply(Mutation { did: repo.did.clone(), key, ops, blocks: vec![] }).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_there_keeps_its_status() {
    for (status, told) in [(AccountStatus::Active, &["#sync"][..]), (AccountStatus::Deactivated, &[])] {
        let backend = store().await;
        let repo = Repo::new("known", 3);
        create(&*backend, &repo, status).await;
        assert!(!import(&*backend, &repo.car()).await.unwrap().account_created);
        let account = backend.account(&AccountName::Did(repo.did.clone())).await.unwrap().unwrap();
        assert_eq!((account.status, account.handle.is_some()), (status, true));
        assert_eq!(events(&*backend).await, told);
    }
}

#[tokio::test]
async fn a_newer_export_replaces_an_older_one_and_no_other() {
    let backend = store().await;
    let mut repo = Repo::new("again", 10);
    import(&*backend, &repo.car()).await.unwrap();
    let before = backend.position().await.unwrap();
    let again = import(&*backend, &repo.car()).await.unwrap_err();
    assert_eq!(again.reason(), Reason::RevNotIncreasing, "{again}");
    repo.rev = Tid::new(REV_MICROS - 1, 1);
    let older = import(&*backend, &repo.car()).await.unwrap_err();
    assert_eq!(older.reason(), Reason::RevNotIncreasing, "{older}");
    assert_eq!(backend.position().await.unwrap(), before);
    repo.rev = Tid::new(REV_MICROS + 1, 1);
    repo.records.clear();
    repo.put(99, "all new");
    import(&*backend, &repo.car()).await.unwrap();
    let out = export(&*backend, &repo.did, None).await.unwrap();
    assert_eq!(read_car(&out).1, read_car(&repo.car()).1);
    is_sound(&*backend).await;
}

/// Enough for several steps.
fn large(word: &str) -> Repo {
    Repo::new(word, 3_000)
}

#[tokio::test]
async fn an_import_that_is_given_up_leaves_no_account() {
    let backend = store().await;
    let repo = large("cancel");
    let follower = Arc::new(Quiet { until_written: Some(1_000), ..Quiet::default() });
    let error = import_followed(&*backend, &repo.car(), follower).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Closed, "{error}");
    assert!(backend.position().await.unwrap() > Pos(1), "it had begun to write");
    assert!(!has_account(&*backend, &repo.did).await);
    assert_eq!(backend.repo(&repo.did, At::Head).await.unwrap(), None);
    import(&*backend, &repo.car()).await.unwrap();
    is_sound(&*backend).await;
}

#[tokio::test]
async fn a_store_that_fails_at_any_step_keeps_nothing() {
    let car = large("fails").car();
    let did = large("fails").did;
    let mut failures = 0;
    for writes in 1.. {
        let backend = Tapped::over(store().await);
        backend.writes_left.store(writes, Ordering::SeqCst);
        let Err(error) = import(&backend, &car).await else { break };
        assert_eq!(error.reason(), Reason::StorageFull, "{error}");
        assert!(!has_account(&backend, &did).await);
        failures += 1;
    }
    assert!(failures >= 4, "the steps and the end failed: {failures}");
}

#[tokio::test]
async fn an_import_that_a_kill_cut_off_is_taken_up_by_the_next() {
    let backend = store().await;
    let repo = large("killed");
    let ops = vec![
        Op::CreateAccount(NewAccount {
            handle: None,
            email: None,
            password_hash: None,
            status: AccountStatus::Deactivated,
        }),
        Op::BeginImport,
    ];
    backend.apply(Mutation { did: repo.did.clone(), key: IdempotencyKey([1; 16]), ops, blocks: vec![] }).await.unwrap();
    import(&*backend, &repo.car()).await.unwrap();
    let account = backend.account(&AccountName::Did(repo.did.clone())).await.unwrap().unwrap();
    assert_eq!((account.status, account.import), (AccountStatus::Active, None));
    is_sound(&*backend).await;
}

#[tokio::test]
async fn progress_goes_through_all_phases_to_the_end() {
    let follower = Arc::new(Quiet::default());
    import_followed(&*store().await, &large("progress").car(), Arc::clone(&follower)).await.unwrap();
    let seen = follower.seen.lock().unwrap();
    assert!(seen.iter().any(|p| p.phase == Phase::Check));
    for phase in [Phase::Read, Phase::Write] {
        let last = seen.iter().rfind(|p| p.phase == phase).unwrap();
        assert_eq!(Some(last.done), last.total, "{last:?}");
    }
}
