//! Commits that only make records are planned without a look at the database: what is nearly never there, and is there after
//! all, the tables refuse.

use super::*;
use backend_api::Op;

fn numbered(n: u8) -> IdempotencyKey {
    IdempotencyKey([n, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4])
}

/// The next commit to a repo, which makes a record.
fn next(repo: &mut SceneRepo, n: u8) -> Mutation {
    let (mutation, after) = commit(repo, n);
    *repo = after;
    Mutation { key: numbered(n), ..mutation }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_makes_a_record_asks_nothing() {
    const COMMITS: u8 = 40;
    let Some(Scene { proxy, url: _, store, _server }) = Scene::begin("asks", |_| {}).await else { return };
    let mut repo = SceneRepo::new(scene::did("alice"));
    // The account is asked for, the first time.
    store.apply(next(&mut repo, 0)).await.unwrap();
    let mut said = Vec::new();
    for _ in ["made", "changed"] {
        let before = proxy.naming();
        for n in 1..=COMMITS {
            let mutation = Mutation { key: numbered(said.len() as u8 * COMMITS + n), ..next(&mut repo, n) };
            store.apply(mutation).await.unwrap();
        }
        said.push(proxy.naming() - before);
    }
    // Of a record that is changed what it says of others is asked.
    assert_eq!(said, [u64::from(COMMITS), 2 * u64::from(COMMITS)]);
    is_sound(&store).await;
}

/// A retry is refused by what the commit itself did. The first commit of a repo names no block that is gone since, and would be
/// asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_before_is_told_again() {
    let Some(Scene { proxy: _proxy, url, store, _server }) = Scene::begin("told_again", |_| {}).await else { return };
    store.apply(account("bob")).await.unwrap();
    let (mut alice, mut bob) = (SceneRepo::new(scene::did("alice")), SceneRepo::new(scene::did("bob")));
    store.apply(next(&mut bob, 1)).await.unwrap();
    let first = next(&mut alice, 1);
    let receipt = store.apply(first.clone()).await.unwrap();
    let events = head(&store).await;
    // Among others, too.
    let answers = store.apply_many(vec![first.clone(), next(&mut bob, 2), first.clone()]).await;
    let [again, other, last] = <[_; 3]>::try_from(answers).unwrap().map(Result::unwrap);
    assert_eq!((&again, &last), (&receipt, &receipt));
    assert!(other.pos > receipt.pos);
    assert_eq!(store.apply(first.clone()).await.unwrap(), receipt);
    let second = next(&mut alice, 2);
    let receipt_of_second = store.apply(second.clone()).await.unwrap();
    assert_eq!(store.apply(second).await.unwrap(), receipt_of_second);
    assert_eq!(open(url, |_| {}).await.apply(first).await.unwrap(), receipt);
    assert_eq!(head(&store).await, events + 2);
    is_sound(&store).await;
}

/// It could be made, but for its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_before_is_refused() {
    let Some(Scene { proxy: _proxy, url: _, store, _server }) = Scene::begin("key_used", |_| {}).await else { return };
    store.apply(account("bob")).await.unwrap();
    let (mut alice, mut bob) = (SceneRepo::new(scene::did("alice")), SceneRepo::new(scene::did("bob")));
    store.apply(next(&mut alice, 1)).await.unwrap();
    store.apply(next(&mut bob, 1)).await.unwrap();
    let again = Mutation { key: numbered(1), ..next(&mut alice.clone(), 2) };
    // With somebody else's, which is made all the same. Nothing of the two is to be loaded.
    let answers = store.apply_many(vec![again, next(&mut bob, 2)]).await;
    let [refused, other] = <[_; 2]>::try_from(answers).unwrap();
    other.unwrap();
    assert_eq!(refused.unwrap_err().reason(), Reason::KeyReused);
    assert!(counter(&store, "retries").await > 0, "the tables refused it");
    store.apply(next(&mut alice, 2)).await.unwrap();
    is_sound(&store).await;
}

/// It could be made, but for the record, of which it says that it is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_there_is_not_made() {
    let Some(Scene { proxy: _proxy, url: _, store, _server }) = Scene::begin("there", |_| {}).await else { return };
    store.apply(account("bob")).await.unwrap();
    let (mut alice, mut bob) = (SceneRepo::new(scene::did("alice")), SceneRepo::new(scene::did("bob")));
    store.apply(next(&mut alice, 1)).await.unwrap();
    store.apply(next(&mut bob, 1)).await.unwrap();
    let draft = alice.draft(&[scene::Write::Put(scene::path("com.example.note/1"), scene::content("other"))]);
    let mut twice = draft.mutation(numbered(2));
    for op in &mut twice.ops {
        let Op::Commit(commit) = op else { panic!("a draft is a commit") };
        assert!(commit.records[0].old.take().is_some());
    }
    // With somebody else's, which is made all the same. Nothing of the two is to be loaded.
    let answers = store.apply_many(vec![twice, next(&mut bob, 2)]).await;
    let [refused, other] = <[_; 2]>::try_from(answers).unwrap();
    other.unwrap();
    assert_eq!(refused.unwrap_err().reason(), Reason::RecordMismatch);
    assert!(counter(&store, "retries").await > 0, "the tables refused it");
    store.apply(next(&mut alice, 2)).await.unwrap();
    is_sound(&store).await;
}

/// Who retries again and again does not make everybody's work twice: for a while after it, groups ask.
#[tokio::test(flavor = "multi_thread")]
async fn who_uses_a_key_again_and_again_makes_little_work() {
    const TIMES: u64 = 40;
    let Some(Scene { proxy: _proxy, url: _, store, _server }) = Scene::begin("again", |_| {}).await else { return };
    let mut repo = SceneRepo::new(scene::did("alice"));
    store.apply(next(&mut repo, 1)).await.unwrap();
    for _ in 0..TIMES {
        let again = Mutation { key: numbered(1), ..next(&mut repo.clone(), 2) };
        assert_eq!(store.apply(again).await.unwrap_err().reason(), Reason::KeyReused);
    }
    assert_eq!(counter(&store, "retries").await, 1, "groups that were made again");
    store.apply(next(&mut repo, 2)).await.unwrap();
    is_sound(&store).await;
}

/// Many that come too late, as those do who write to one repo at the same time, are asked for together.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_keeps_nobody_waiting_for_a_question_each() {
    const LATE: u8 = 100;
    let Some(Scene { proxy, url: _, store, _server }) = Scene::begin("late", |_| {}).await else { return };
    store.apply(account("bob")).await.unwrap();
    let (mut alice, mut bob) = (SceneRepo::new(scene::did("alice")), SceneRepo::new(scene::did("bob")));
    let first = next(&mut alice, 1);
    let receipt = store.apply(first.clone()).await.unwrap();
    store.apply(next(&mut bob, 1)).await.unwrap();
    let behind = alice.clone();
    let mut group = vec![next(&mut alice, 2)];
    group.extend((3..LATE).map(|n| next(&mut behind.clone(), n)));
    // What was made before is among them, and what can be made.
    group.extend([first, next(&mut bob, 2)]);
    let before = proxy.naming();
    let mut answers = store.apply_many(group).await;
    let asked = proxy.naming() - before;
    answers.pop().unwrap().unwrap();
    assert_eq!(answers.pop().unwrap().unwrap(), receipt);
    answers.remove(0).unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap_err().reason() == Reason::HeadMismatch));
    assert!(asked < 6, "{asked} messages about {LATE} mutations");
    store.apply(next(&mut alice, LATE)).await.unwrap();
    is_sound(&store).await;
}
