//! A connection that is lost at whatever message of a write, to the server or from it, whole or half-way.

use super::*;
use backend_api::Op;
use backend_api::mutation::Announce;

/// How a group is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By one statement.
    One,
    /// By several, without the lock.
    Several,
    /// Somebody else wrote: by one statement in vain, and then under the lock.
    Raced,
    /// Refused, which is looked up.
    Refused,
}

fn mutation(way: Way, n: u32) -> Mutation {
    let mut key = [9; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    let ops = match way {
        Way::One | Way::Raced => vec![Op::Emit(Announce::Account)],
        Way::Several => vec![Op::Emit(Announce::Account), scene::put_row(scene::row("beside", "{}"))],
        Way::Refused => vec![create_account("alice")],
    };
    Mutation { did: scene::did("alice"), key: IdempotencyKey(key), ops, blocks: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_done_once_at_whatever_message_its_connection_is_lost() {
    const MESSAGES_MAX: u32 = 100;
    let Some(Scene { proxy, url, store, _server }) = Scene::begin("messages", |_| {}).await else { return };
    let other = open(url, |_| {}).await;
    let mut n = 0;
    let mut next = |way| {
        n += 1;
        mutation(way, n)
    };
    for way in [Way::One, Way::Several, Way::Raced, Way::Refused] {
        let mut cuts = 0;
        for (of_client, half) in [(true, false), (true, true), (false, false), (false, true)] {
            for after in 0.. {
                assert!(after < MESSAGES_MAX, "{way:?}: a write has no more messages");
                // Nobody wrote since, but for who is to be in the way.
                store.apply(next(Way::One)).await.unwrap();
                if way == Way::Raced {
                    other.apply(next(Way::One)).await.unwrap();
                }
                let (mutation, before) = (next(way), head(&other).await);
                let what = Cut { of_client, after, half };
                proxy.cut(what);
                let answer = store.apply(mutation.clone()).await;
                let is_over = proxy.was_not_cut();
                let events = u64::from(way != Way::Refused);
                assert_eq!(head(&other).await, before + events, "{way:?} {what:?}: once");
                match answer {
                    Ok(receipt) => assert_eq!(other.apply(mutation).await.unwrap(), receipt, "{way:?} {what:?}"),
                    Err(e) => assert_eq!((way, e.reason()), (Way::Refused, Reason::AccountExists), "{what:?}: {e}"),
                }
                if is_over {
                    break;
                }
                cuts += 1;
            }
        }
        assert!(cuts >= 8, "{way:?}: {cuts} messages");
    }
}
